#!/usr/bin/python3
"""The paper's three findings (arXiv 2411.02207), measured on a store: numbers with intervals, and whether each holds.

a  Specialising makes features incompatible: debiased CKA between the members is lower at the last degree than at the first
   non-zero one, in most blocks.
b  The best interpolation first gains over the base, and loses again as the degree grows.
c  At the last degree routing is better than the best interpolation, and routing over span 2 better than over span 1. Since
   routers also adapt to the target's text, degree 0, where there is nothing to combine, stands beside it.

Each measurement is a difference signed so that the claim is "above zero", with its 95 % interval (Student's t over paired
differences: of seeds, or of text blocks where seeds do not vary). It is above zero only if the whole interval is; a finding
holds only if its measurements are. Nothing here chooses on the test split: best settings and degrees are those of select.

usage: findings.py STORE.h5 [STORE.h5 ...]
"""
from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cmsweep_reader import StoreError
from intervals import Interval, mean_interval
from plots.similarity_against_degree import between_members, comparisons_of
from sweep import Missing, Sweep, best, difference, interpolations, routes_by_span

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not estimable"
CLAIMS = {
    "a": "specialising lowers the similarity of most blocks",
    "b": "interpolation first gains over the base, then loses again",
    "c": "routing beats interpolation, and span 2 beats span 1",
}


@dataclass
class Finding:
    name: str    # "a", "b", "c"
    pair: str
    target: str  # empty for a, which needs none
    verdict: str = UNKNOWN
    reason: str = ""                                  # of the verdict, in words
    measured: list = field(default_factory=list)      # (what, Interval)

    def add(self, what, interval):
        self.measured.append((what, interval))
        return interval


def judge(*intervals):
    """Do all differences lie above zero?"""
    if not intervals or any(i.n == 0 or not np.isfinite(i.low) for i in intervals):
        return UNKNOWN
    return HOLDS if all(i.above_zero for i in intervals) else FAILS


def similarity_falls(sweep, pair, metric="cka_debiased"):
    finding = Finding("a", pair, "")
    members = sweep.members(pair)
    array = between_members(sweep, metric, members)
    degrees = [int(d) for d in array["degree"].values if d > 0] if array is not None else []
    if len(degrees) < 2:
        there = ", ".join(map(str, np.unique(sweep.comparisons["metric"].values))) or "none"
        finding.reason = f"needs {metric} between the members at two non-zero degrees (metrics in the store: {there})"
        return finding
    first, last = degrees[0], degrees[-1]
    value = array["value"]
    if len(array["seed"]) > 1 and (value == value.isel(seed=0)).where(value.notnull(), True).all():
        value = value.isel(seed=[0])  # as of loaded models: one computation for all seeds, which says nothing of spread
    blocks = value.sizes["layer_a"]
    falls = np.array([(value.sel(degree=first) - value.sel(degree=last)).isel(layer_a=b, layer_b=b).values for b in range(blocks)])
    finding.add(f"{metric} at degree {first} minus degree {last}: mean of the blocks", mean_interval(falls.mean(axis=0), "seeds"))
    each = [finding.add(f"{metric} at degree {first} minus degree {last}: block {b}", mean_interval(falls[b], "seeds")) for b in range(blocks)]
    ceiling = same_specialist(sweep, metric, members, last)
    if ceiling is not None:
        own = pd.Series(np.mean([value.sel(degree=last).isel(layer_a=b, layer_b=b).values for b in range(blocks)], axis=0), index=value["seed"].values)
        finding.add(f"{metric} of each specialist with itself under another seed minus that of the pair, degree {last}: mean of the blocks",
                    mean_interval(ceiling - own, "seeds"))
    certain = sum(i.above_zero for i in each)
    finding.verdict = UNKNOWN if all(judge(i) == UNKNOWN for i in each) else HOLDS if certain > blocks / 2 else FAILS
    finding.reason = f"{certain} of {blocks} blocks certainly lower"
    return finding


def same_specialist(sweep, metric, members, degree):
    """Per seed: mean over the members, their other seeds and the blocks; None where it was not measured. Seeds share pairs, so
    that an interval over them is approximate."""
    array = comparisons_of(sweep, metric, "seeds", members)
    if array is None or degree not in array["degree"].values:
        return None
    array = array["value"]
    blocks = range(array.sizes["layer_a"])
    value = sum(array.sel(degree=degree).isel(layer_a=b, layer_b=b) for b in blocks) / len(blocks)
    seeds = sorted({*value["seed"].values, *value["seed_b"].values})
    return pd.Series([np.nanmean([value.sel(seed=[seed] if seed in value["seed"] else []).values.ravel().tolist()
                                 + value.sel(seed_b=[seed] if seed in value["seed_b"] else []).values.ravel().tolist()]) for seed in seeds], index=seeds)


def interpolation_gains_then_loses(sweep, pair, target):
    finding = Finding("b", pair, target)
    try:
        base = sweep.base(target)
        at = {d: sweep.entries(interpolations(sweep, pair, target, d)) for d in sweep.degrees(pair, target) if d > 0}
        at = {d: best(entries) for d, entries in at.items() if entries}
        if len(at) < 2:
            raise Missing("interpolations at two non-zero degrees")
    except Missing as lack:
        finding.reason = f"needs {lack}"
        return finding
    gains = {d: finding.add(f"base minus best {entry['method']} at degree {d}", difference(base, entry)) for d, entry in at.items()}
    peak, last = min(at, key=lambda d: at[d].loss_select), max(at)
    if peak == last:
        finding.verdict = UNKNOWN if judge(gains[peak]) == UNKNOWN else FAILS
        finding.reason = f"lowest at the last degree, {last}; {judge_words(gains[last], 'better', 'worse')} than the base there"
        return finding
    lost = finding.add(f"best {at[last]['method']} at degree {last} minus degree {peak}, where it is lowest", difference(at[last], at[peak]))
    finding.verdict = judge(gains[peak], lost)
    finding.reason = f"lowest at degree {peak}; {judge_words(gains[peak], 'better', 'worse')} than the base there; {judge_words(lost, 'worse', 'better')} at degree {last}"
    if gains[last].below_zero:
        finding.reason += ", and worse than the base"
    return finding


def judge_words(interval, above, below):
    """"certainly better", "certainly worse", or "not certainly better"."""
    return f"certainly {above}" if interval.above_zero else f"certainly {below}" if interval.below_zero else f"not certainly {above}"


def routing_beats_interpolation(sweep, pair, target):
    finding = Finding("c", pair, target)
    try:
        rows, _ = routes_by_span(sweep, pair, target)
        base = sweep.base(target)
    except Missing as lack:
        finding.reason = f"needs {lack}"
        return finding
    gains, decisive = {}, []
    for degree in sweep.degrees(pair, target):
        routed = {int(e["span"]): e for e in sweep.entries(rows[(rows["degree"] == degree).fillna(False).astype(bool)])}
        mixed = sweep.entries(interpolations(sweep, pair, target, degree))
        decisive = []
        if 1 in routed and mixed:
            decisive.append(finding.add(f"best {mixed[0]['method']} minus routing over span 1, degree {degree}", difference(best(mixed), routed[1])))
        if 1 in routed and 2 in routed:
            decisive.append(finding.add(f"routing over span 1 minus span 2, degree {degree}", difference(routed[1], routed[2])))
        if 1 in routed:
            gains[degree] = base.loss - routed[1].rows.set_index("seed")["loss"]
            if degree > 0 and 0 in gains:
                finding.add(f"gain of span 1 over the base at degree {degree} minus that at degree 0", mean_interval(gains[degree] - gains[0], "seeds"))
    if len(decisive) < 2:
        finding.reason = "needs interpolation and routing over span 1 and 2 at the last degree"
        return finding
    finding.verdict = judge(*decisive)
    finding.reason = f"routing {judge_words(decisive[0], 'better', 'worse')} than interpolation; span 2 {judge_words(decisive[1], 'better', 'worse')} than span 1"
    return finding


def findings(paths, outside_plan=False) -> list[Finding]:
    """Every finding for every pair and target."""
    sweep = Sweep(paths, outside_plan)
    result = []
    for pair in dict.fromkeys(pair for pair, _ in sweep.cases()):
        result.append(similarity_falls(sweep, pair))
        for target in [t for p, t in sweep.cases() if p == pair]:
            result.append(interpolation_gains_then_loses(sweep, pair, target))
            result.append(routing_beats_interpolation(sweep, pair, target))
    return result


def verdicts(found) -> pd.DataFrame:
    """One row a finding."""
    return pd.DataFrame([(f.name, CLAIMS[f.name], f.pair, f.target, f.verdict, f.reason) for f in found],
                        columns=["finding", "claim", "pair", "target", "verdict", "because"])


def measurements(found) -> pd.DataFrame:
    """One row a measured difference."""
    return pd.DataFrame([(f.name, f.pair, f.target, what, i.mean, i.low, i.high, i.n, i.over, judge(i).replace(HOLDS, "above zero").replace(
        FAILS, "not above zero")) for f in found for what, i in f.measured],
        columns=["finding", "pair", "target", "difference", "mean", "low", "high", "n", "over", "judgement"])


def text(found) -> str:
    """Both as a plain table."""
    lines = []
    for f in found:
        lines.append(f"({f.name}) {CLAIMS[f.name]}: {f.verdict.upper()}" + (f" ({f.reason})" if f.reason else ""))
        lines.append(f"    {f.pair}" + (f" on {f.target}" if f.target else ""))
        width = max([len(what) for what, _ in f.measured], default=0)
        lines += [f"    {what.ljust(width)}  {interval.text(digits=4)}" for what, interval in f.measured]
        lines.append("")
    return "\n".join(lines + ["Differences with 95 % intervals, losses in nats per token; a claim holds where the whole interval is above zero."])


def main(arguments=None):
    parser = argparse.ArgumentParser(description="The paper's three findings, measured on a store.")
    parser.add_argument("stores", nargs="+", metavar="STORE.h5")
    options = parser.parse_args(arguments)
    try:
        print(text(findings(options.stores)))
    except StoreError as error:
        print(f"findings.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
