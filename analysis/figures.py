#!/usr/bin/python3
"""Draws every figure that a store allows, as PNG and SVG, and says what the others lack.

usage: figures.py STORE.h5 [STORE.h5 ...] -o DIR [--outside-plan]
"""
from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import matplotlib

import plots
from cmsweep_reader import StoreError
from plots import style
from sweep import Missing, Sweep


def requests(sweep):
    """(name of the file, module, arguments) for every figure that the sweep may have."""
    cases = sweep.cases()
    pairs = list(dict.fromkeys(pair for pair, _ in cases))
    for module in plots.OF_A_SWEEP:
        yield module.NAME, module, ()
    targets = list(dict.fromkeys(target for _, target in cases))
    for target in targets:
        for module in plots.OF_A_TARGET:
            yield module.NAME + ("" if len(targets) == 1 else "-" + target), module, (target,)
    for pair in pairs:
        for module in plots.OF_A_PAIR:
            yield module.NAME + ("" if len(pairs) == 1 else "-" + pair), module, (pair,)
    for pair, target in cases:
        for module in plots.OF_A_PAIR_ON_A_TARGET:
            yield module.NAME + ("" if len(cases) == 1 else f"-{pair}-{target}"), module, (pair, target)


def save(figure, folder, name):
    """As PNG and SVG; the same figure gives the same bytes. Returns the PNG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / re.sub(r"[^\w.+-]", "_", name)
    figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None})
    figure.savefig(f"{stem}.svg", metadata={"Date": None})
    return Path(f"{stem}.png")


def draw_all(sweep, folder):
    """Draws what can be drawn into `folder`. Returns (written PNGs, [(name, what is missing)])."""
    written, missing = [], []
    with matplotlib.rc_context(style.SETTINGS):
        for name, module, arguments in requests(sweep):
            try:
                written.append(save(module.draw(sweep, *arguments), Path(folder), name))
            except Missing as lack:
                missing.append((name, str(lack)))
    if not sweep.cases():
        missing.append(("all other figures", "combinations of members alike in degree"))
    return written, missing


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Draws every figure that a store allows, and says what the others lack.")
    parser.add_argument("stores", nargs="+", metavar="STORE.h5")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--outside-plan", action="store_true", help="also results that the last config no longer asks for: where several configs filled one store")
    options = parser.parse_args(arguments)
    try:
        sweep = Sweep(options.stores, options.outside_plan)
        written, missing = draw_all(sweep, options.output)
    except StoreError as error:
        print(f"figures.py: {error}", file=sys.stderr)
        return 2
    for path in written:
        print(path)
    for lack in dict.fromkeys(lack for _, lack in missing):
        names = [name for name, why in missing if why == lack]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        print(f"not drawn: {', '.join(names[:4])}{more}: the store lacks {lack}")
    if sweep.ambiguous:
        print(f"left out: {sweep.ambiguous} rows with the labels of another row but other content (planned rows stand, else those stored last)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
