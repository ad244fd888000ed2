#!/usr/bin/python3
"""Brings what the project shows of the quickstart up to date with its store: the notebooks' outputs, the README's figure and
the README's findings.

usage: refresh.py [results/quickstart.h5]
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import matplotlib
import nbclient
import nbformat

import cmsweep_reader
import story
from findings import UNKNOWN
from plots import best_merge_against_degree, style
from sweep import Sweep

FOLDER = Path(__file__).resolve().parent
PAPER_STORY, OWN_MODELS = FOLDER / "paper_story.ipynb", FOLDER / "own_models.ipynb"
FIGURE = FOLDER / "images" / f"{best_merge_against_degree.NAME}.png"
MARKERS = "<!-- findings: written by analysis/refresh.py -->\n", "<!-- end of findings -->"


def execute(notebook, store):
    """Runs it on the store, without times and counts that would change with every run."""
    os.environ["CMSWEEP_STORE"] = os.fspath(store)
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # a kernel's own warning, of no use here
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, resources={"metadata": {"path": FOLDER}}).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def findings_section(store):
    """The claims of the paper's story with their verdicts, for the first pair and target, as Markdown: what could be judged, and
    which could not."""
    sweep, made = Sweep(store), cmsweep_reader.provenance(store)
    case = sweep.cases()[0]
    found = [story.claim(sweep, name, *case) for name in story.CLAIMS]
    lines = [f"Sweep `{made['sweep']}`: {case[0]} on {case[1]}, {sweep.experiments['seed'].nunique()} seeds, degrees {', '.join(map(str, sweep.degrees(*case)))}.", "",
             "| claim | here | because |", "|---|---|---|"]
    judged = [f for f in found if f.verdict != UNKNOWN]
    lines += [f"| {story.CLAIMS[f.name]} | **{f.verdict}** | {f.reason} |" for f in judged]
    if len(judged) < len(found):
        lines += ["", f"{len(found) - len(judged)} further claims of the notebook need a richer sweep: "
                  + "; ".join(story.CLAIMS[f.name] for f in found if f.verdict == UNKNOWN) + "."]
    return "\n".join([*lines, ""])


def with_section(readme, section):
    start, end = MARKERS
    before, rest = readme.split(start)
    return before + start + section + end + rest.split(end)[1]


def draw(store, path):
    sweep = Sweep(store)
    path.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context(style.SETTINGS):
        best_merge_against_degree.draw(sweep, *sweep.cases()[0]).savefig(path, dpi=140, metadata={"Software": None})


def main():
    parser = argparse.ArgumentParser(description="Brings the notebooks' outputs and the README's figure and findings up to date.")
    parser.add_argument("store", nargs="?", type=Path, default=FOLDER.parent / "results" / "quickstart.h5", metavar="STORE.h5")
    store = parser.parse_args().store.resolve()
    try:
        section = findings_section(store)
    except cmsweep_reader.StoreError as error:
        print(f"refresh.py: {error}", file=sys.stderr)
        return 2
    readme = FOLDER.parent / "README.md"
    readme.write_text(with_section(readme.read_text(), section))
    draw(store, FIGURE)
    for notebook in (PAPER_STORY, OWN_MODELS):
        nbformat.write(execute(nbformat.read(notebook, as_version=4), store), notebook)
    return 0


if __name__ == "__main__":
    sys.exit(main())
