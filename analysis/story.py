"""What the paper says of specialists and their combination, claim by claim, each measured on a store for one pair and target.

The chapters are those of Pari, Jelassi and Agrawal (arXiv 2411.02207): specialising, similarity, averaging, routing, outputs; and the
controls that their experiments lack. A claim is a finding as in findings.py: it holds if every difference that decides it lies above
zero with its whole 95 % interval, does not hold if one does not, and is not estimable where the store lacks what it needs, which is
said. Differences beside it are measured but do not decide. Best settings are those of the select split, losses those of test.
"""
from __future__ import annotations

from functools import lru_cache

import findings
import prediction
from findings import FAILS, HOLDS, UNKNOWN, Finding, judge, judge_words
from intervals import mean_interval
from plots import similarity_and_merge_gap, span_at_equal_cost
from sweep import Missing, Sweep, best, contrast, difference, interpolations, routes_by_span

CLAIMS = {
    "specialise": "every specialist goes on learning its own text",
    "similarity": findings.CLAIMS["a"],
    "ceiling": "the specialists differ by more than two seeds of one specialist do",
    "prediction": "at one degree, the less alike two specialists are, the more their even mixture loses against them",
    "features": "averaging features gains over the best single model",
    "parameters": "averaging parameters gains over the best single model",
    "bowl": findings.CLAIMS["b"],
    "routing": "routing does better than averaging",
    "adaptation": "routing gains more than it would by adapting to the target's text alone",
    "span": "a wider span does better",
    "saturation": "each step to a wider span gains less than the one before",
    "equal_flops": "a wider span does better at the same computation, too",
    "loses_too": "routing, too, loses again as the specialists train on",
    "outputs": "meeting at the outputs does better than meeting inside, where nothing is trained",
    "gap": "this lead of the outputs grows as the specialists train on",
    "gate": "weighing the outputs per token does better than routing inside",
    "input": "routing gains more than fixed weights learned from the same kind of text",
    "target_text": "combining does better than fine-tuning the base on the same target text",
    "joint": "combining does better than one model trained on all the members' text",
}
CHAPTERS = {
    "specialising": ("specialise",),
    "similarity": ("similarity", "ceiling"),
    "averaging": ("features", "parameters", "bowl", "prediction"),
    "routing": ("routing", "adaptation", "span", "saturation", "equal_flops", "loses_too"),
    "outputs": ("outputs", "gap", "gate"),
    "controls": ("input", "target_text", "joint"),
}


def case(sweep, pair="", target=""):
    """(pair, target) to tell the story of: the first of those asked for; what is empty is not asked for. Raises Missing, naming what there is."""
    cases = sweep.cases()
    fitting = [c for c in cases if all(not wanted or wanted == there for wanted, there in zip((pair, target), c))]
    if not fitting:
        there = "; ".join(" on ".join(c) for c in cases) or "none (of members alike in degree; analysis/own_models.ipynb also takes others)"
        raise Missing(f"combinations of {pair or 'any pair'} on {target or 'any target'} along degrees; there are: {there}")
    return fitting[0]


def claim(sweep: Sweep, name, pair, target) -> Finding:
    """One claim, judged."""
    finding = Finding(name, pair, target)
    try:
        return _JUDGES[name](finding, sweep, pair, target) or finding
    except Missing as lack:
        finding.verdict, finding.reason = UNKNOWN, f"the store lacks {lack}"
        return finding


def chapter(sweep, name, pair, target) -> list[Finding]:
    return [claim(sweep, c, pair, target) for c in CHAPTERS[name]]


def claims(sweep) -> list[Finding]:
    """All, for every pair and target."""
    return [claim(sweep, name, pair, target) for pair, target in sweep.cases() for name in CLAIMS]


def decide(finding, decisive, reason):
    finding.verdict, finding.reason = judge(*decisive), reason
    return finding


# ---- what is compared

def last_degrees(sweep, pair, target):
    """The degrees above 0; at least one."""
    degrees = [d for d in sweep.degrees(pair, target) if d > 0]
    if not degrees:
        raise Missing("combinations at a degree above 0")
    return degrees


def best_of(sweep, rows, what):
    """The best entry of the rows."""
    if len(rows) == 0:
        raise Missing(what)
    return best(sweep.entries(rows))


def untrained(rows):
    """Rows whose combination learned from no text of the target."""
    return rows[(rows["target_tokens"] == 0).fillna(False).astype(bool)]


def change_of_difference(one, other):
    """(first minus second) of `one` minus that of `other`."""
    return contrast([(1, one[0]), (-1, one[1]), (-1, other[0]), (1, other[1])])


def last_routed(sweep, pair, target):
    """The last degree at which dense routing was run."""
    rows, _ = routes_by_span(sweep, pair, target)
    degrees = sorted(int(d) for d in rows["degree"].unique() if d > 0)
    if not degrees:
        raise Missing("routing at a degree above 0")
    return degrees[-1]


def routed(sweep, pair, target, degree, span=None):
    """The dense routing rows that differ in span alone, at one degree; with `span`, its entry."""
    rows, _ = routes_by_span(sweep, pair, target)
    rows = rows[(rows["degree"] == degree).fillna(False).astype(bool)]
    by_span = {int(e["span"]): e for e in sweep.entries(rows)}
    if span is None:
        return by_span
    if span not in by_span:
        raise Missing(f"routing over span {span} at degree {degree}")
    return by_span[span]


# ---- the claims

def _specialise(finding, sweep, pair, target):
    degrees = last_degrees(sweep, pair, target)
    curves, decisive = sweep.training, []
    edges = [0, *degrees]
    for member in sweep.members(pair):
        own = curves[curves["model"] == member]
        if own.empty:
            raise Missing(f"the training of {member}: a loaded model has none")
        if len(degrees) < 2:
            raise Missing("two degrees above 0")

        def mean(first, end):
            return own[(own["step"] >= first) & (own["step"] < end)].groupby("seed")["loss"].mean()

        falls = (mean(edges[-3], edges[-2]) - mean(edges[-2], edges[-1])).dropna()
        decisive.append(finding.add(f"{member}: training loss over steps {edges[-3]} to {edges[-2]} minus steps {edges[-2]} to {edges[-1]}",
                                    mean_interval(falls, "seeds")))
    for member in sweep.members(pair):
        finding.add(f"on {target}: {member} alone at degree {degrees[-1]} minus the base",
                    difference(sweep.specialist(member, degrees[-1], target), sweep.base(target)))
    certain = sum(i.above_zero for i in decisive)
    return decide(finding, decisive, f"the training loss of {certain} of {len(decisive)} members certainly falls up to the last degree")


def _similarity(finding, sweep, pair, target):
    own = findings.similarity_falls(sweep, pair)
    finding.verdict, finding.reason, finding.measured = own.verdict, own.reason, own.measured
    return finding


def _ceiling(finding, sweep, pair, target):
    found = [(what, i) for what, i in findings.similarity_falls(sweep, pair).measured if "with itself under another seed" in what]
    if not found:
        raise Missing("comparisons of each specialist with itself under another seed ([similarity] against = [\"seeds\"])")
    finding.measured = found
    (_, gap), = found
    return decide(finding, [gap], f"the same specialist under two seeds is {judge_words(gap, 'more alike', 'less alike')} than the pair")


def _averaging(method):
    def judged(finding, sweep, pair, target):
        degrees, gains = last_degrees(sweep, pair, target), {}
        for degree in degrees:
            rows = interpolations(sweep, pair, target, degree, method)
            if len(rows) == 0:
                continue
            entry, alone = best(sweep.entries(rows)), sweep.best_single(pair, target, degree)
            gains[degree] = finding.add(f"best single model ({alone['member_1']}) minus best {method}, degree {degree}", difference(alone, entry))
        if not gains:
            raise Missing(f"rows of {method} at a degree above 0")
        last = max(gains)
        return decide(finding, [gains[last]], f"at degree {last} {judge_words(gains[last], 'better', 'worse')} than the best single model; "
                      f"certainly better at {sum(g.above_zero for g in gains.values())} of {len(gains)} degrees")
    return judged


def _bowl(finding, sweep, pair, target):
    own = findings.interpolation_gains_then_loses(sweep, pair, target)
    finding.verdict, finding.reason, finding.measured = own.verdict, own.reason, own.measured
    return finding


def _prediction(finding, sweep, pair, target):
    """Of all pairs of specialists on the target, not of one: by the correlation within degrees and its permutation of specialists."""
    metric, method, relation = _relation(sweep, target)
    holds = relation.p <= 0.05 and relation.correlation < 0
    finding.verdict = UNKNOWN if relation.p != relation.p else HOLDS if holds else FAILS
    finding.reason = (f"{metric} and the merge gap of {method} correlate within degrees with r = {relation.correlation:+.2f}, Mantel p = {relation.p:.3f}, "
                      f"n = {relation.pairs} pairs of {relation.specialists} specialists")
    return finding


@lru_cache(maxsize=64)
def _relation(sweep, target):
    """(metric, method of the even mixture, prediction.Mantel); the same for every pair."""
    metric = metric_of(sweep)
    table, method = similarity_and_merge_gap.gaps(sweep, target, metric)
    if table.empty:
        raise Missing("pairs of specialists with their similarity and their even mixture")
    try:
        return metric, method, prediction.mantel(prediction.complete(table), "similarity", "gap")
    except prediction.NotEstimable as lack:
        raise Missing(f"enough specialists: {lack}") from lack


def metric_of(sweep):
    metric = next((m for m in ("cka_debiased", "cka_linear") if m in sweep.comparisons["metric"].values), None)
    if metric is None:
        raise Missing("comparisons by cka_debiased or cka_linear")
    return metric


def _routing(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    mixed = best_of(sweep, interpolations(sweep, pair, target, last), f"an interpolation at degree {last}")
    change = finding.add(f"best {mixed['method']} minus routing over span 1, degree {last}", difference(mixed, routed(sweep, pair, target, last, 1)))
    return decide(finding, [change], f"{judge_words(change, 'better', 'worse')} at degree {last}")


def _adaptation(finding, sweep, pair, target):
    last, base = last_routed(sweep, pair, target), sweep.base(target)
    nothing, all_of_it = routed(sweep, pair, target, 0), routed(sweep, pair, target, last)
    spans = sorted(set(nothing) & set(all_of_it))
    if not spans:
        raise Missing(f"routing at degree 0 and at degree {last}")
    alone = [finding.add(f"base minus routing over span {s}, degree 0, where there is nothing to combine", difference(base, nothing[s])) for s in spans]
    changes = [finding.add(f"routing over span {s} at degree 0 minus at degree {last}", difference(nothing[s], all_of_it[s])) for s in spans]
    return decide(finding, changes, "; ".join(f"span {s} {judge_words(c, 'better', 'worse')} at degree {last} than at degree 0, where it gains {a.text('nat')}"
                                              for s, c, a in zip(spans, changes, alone)))


def _span(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    spans = routed(sweep, pair, target, last)
    if len(spans) < 2:
        raise Missing(f"routing over two spans at degree {last}")
    first, *others = sorted(spans)
    changes = [finding.add(f"routing over span {first} minus span {s}, degree {last} ({spans[s]['flops_per_token'] / spans[first]['flops_per_token']:.2f} x its FLOPs)",
                           difference(spans[first], spans[s])) for s in others]
    return decide(finding, changes, ", ".join(f"span {s} {judge_words(c, 'better', 'worse')} than span {first}" for s, c in zip(others, changes)))


def _saturation(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    spans = routed(sweep, pair, target, last)
    if len(spans) < 3:
        raise Missing(f"routing over three spans at degree {last}")
    order = sorted(spans)
    for a, b in zip(order, order[1:]):
        finding.add(f"routing over span {a} minus span {b}, degree {last}", difference(spans[a], spans[b]))
    decisive = [finding.add(f"gain of span {a} to {b} minus that of {b} to {c}", change_of_difference((spans[a], spans[b]), (spans[b], spans[c])))
                for a, b, c in zip(order, order[1:], order[2:])]
    return decide(finding, decisive, f"{sum(i.above_zero for i in decisive)} of {len(decisive)} further steps certainly gain less")


def _equal_flops(finding, sweep, pair, target):
    """Against dense span 1 by keeping as many experts as that has; against as many experts of the same block, of twins."""
    last = last_routed(sweep, pair, target)
    found, _ = span_at_equal_cost.ways(sweep, pair, target)
    fair = [(" ".join(label.split()), narrow, wide) for (kind, _), label, wide, narrow in
            span_at_equal_cost.comparisons(found.get(last, {}), len(sweep.members(pair))) if kind != "dense"]
    if not fair:
        raise Missing(f"routing over a wider span with as many experts as span 1 has (top_k = {len(sweep.members(pair))}, renormalised, or twins of the members) at degree {last}")
    changes = [finding.add(f"{label}, degree {last}: gain of the wider span", difference(narrow, wide)) for label, narrow, wide in fair]
    return decide(finding, changes, "; ".join(f"{label}: {judge_words(c, 'better', 'worse')}, at {wide['flops_per_token'] / narrow['flops_per_token']:.2f} x the FLOPs"
                                              for (label, narrow, wide), c in zip(fair, changes)))


def _loses_too(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    at = {d: spans[1] for d in last_degrees(sweep, pair, target) if 1 in (spans := routed(sweep, pair, target, d))}
    if last not in at or len(at) < 2:
        raise Missing("routing over span 1 at two degrees above 0")
    before = best([entry for d, entry in at.items() if d != last])
    change = finding.add(f"routing over span 1 at degree {last} minus at degree {before['degree']}, its best before",
                         difference(routed(sweep, pair, target, last, 1), before))
    return decide(finding, [change], f"{judge_words(change, 'worse', 'better')} at degree {last} than at degree {before['degree']}")


def _inside_and_outside(sweep, pair, target, degree):
    rows = untrained(sweep.select(pair, target, degree))
    inside = rows[rows["family"].isin(["parameter", "activation"])]
    return (best_of(sweep, inside, f"untrained combinations by parameters or features at degree {degree}"),
            best_of(sweep, rows[rows["family"] == "output"], f"untrained combinations at the outputs at degree {degree}"))


def _both_sides(sweep, pair, target):
    """The degrees at which untrained combinations inside and at the outputs were run."""
    rows = untrained(sweep.select(pair, target))
    inside, outside = (set(rows.loc[rows["family"].isin(families), "degree"]) for families in (["parameter", "activation"], ["output"]))
    degrees = sorted(int(d) for d in inside & outside if d > 0)
    if not degrees:
        raise Missing("untrained combinations inside (by parameters or features) and at the outputs, at one degree")
    return degrees


def _outputs(finding, sweep, pair, target):
    last = _both_sides(sweep, pair, target)[-1]
    inside, outside = _inside_and_outside(sweep, pair, target, last)
    change = finding.add(f"best by parameters or features ({inside['method']}) minus best at the outputs ({outside['method']}), degree {last}", difference(inside, outside))
    return decide(finding, [change], f"{outside['method']} {judge_words(change, 'better', 'worse')} than {inside['method']} at degree {last}, "
                  f"at {outside['flops_per_token'] / inside['flops_per_token']:.1f} x its FLOPs")


def _gap(finding, sweep, pair, target):
    degrees = _both_sides(sweep, pair, target)
    if len(degrees) < 2:
        raise Missing("untrained combinations inside and at the outputs at two degrees")
    first, last = degrees[0], degrees[-1]
    leads = {degree: _inside_and_outside(sweep, pair, target, degree) for degree in (first, last)}
    for degree, both in leads.items():
        finding.add(f"best by parameters or features minus best at the outputs, degree {degree}", difference(*both))
    change = finding.add(f"that at degree {last} minus that at degree {first}", change_of_difference(leads[last], leads[first]))
    return decide(finding, [change], f"{judge_words(change, 'larger', 'smaller')} at degree {last} than at degree {first}")


def _gate(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    gate = best_of(sweep, sweep.select(pair, target, last, method="route_tokens"), f"rows of route_tokens at degree {last}")
    inside = best(list(routed(sweep, pair, target, last).values()) or [routed(sweep, pair, target, last, 1)])
    change = finding.add(f"best routing (span {int(inside['span'])}) minus route_tokens, degree {last}", difference(inside, gate))
    return decide(finding, [change], f"route_tokens {judge_words(change, 'better', 'worse')} than routing over span {int(inside['span'])}, "
                  f"at {gate['flops_per_token'] / inside['flops_per_token']:.1f} x its FLOPs")


def _input(finding, sweep, pair, target):
    last = last_routed(sweep, pair, target)
    fixed = best_of(sweep, sweep.select(pair, target, last, method="learned_average"), f"rows of learned_average at degree {last}")
    change = finding.add(f"learned_average minus routing over span 1, degree {last}", difference(fixed, routed(sweep, pair, target, last, 1)))
    return decide(finding, [change], f"routing {judge_words(change, 'better', 'worse')} than coefficients that do not depend on the input")


def _reference(sweep, pair, target, method, degree):
    df = sweep.experiments
    rows = df[(df["pair"] == pair) & (df["target"] == target) & (df["method"] == method)]
    if rows["degree"].notna().any():
        rows = rows[(rows["degree"] == degree).fillna(False).astype(bool)]
    return best_of(sweep, rows, f"rows of {method}")


def _best_combination(sweep, pair, target, degree):
    return best_of(sweep, sweep.select(pair, target, degree), f"combinations at degree {degree}")


def _target_text(finding, sweep, pair, target):
    last = last_degrees(sweep, pair, target)[-1]
    tuned, merged = _reference(sweep, pair, target, "finetune_target", last), _best_combination(sweep, pair, target, last)
    change = finding.add(f"base fine-tuned on the target minus best combination ({merged['method']}), degree {last}", difference(tuned, merged))
    return decide(finding, [change], f"{merged['method']} {judge_words(change, 'better', 'worse')} than the fine-tuned base, which saw {int(tuned['target_tokens']):,} tokens of the target")


def _joint(finding, sweep, pair, target):
    last = last_degrees(sweep, pair, target)[-1]
    joint, merged = _reference(sweep, pair, target, "joint", last), _best_combination(sweep, pair, target, last)
    change = finding.add(f"one model trained on all the members' text minus best combination ({merged['method']}), degree {last}", difference(joint, merged))
    return decide(finding, [change], f"{merged['method']} {judge_words(change, 'better', 'worse')} than the jointly trained model")


_JUDGES = {
    "specialise": _specialise, "similarity": _similarity, "ceiling": _ceiling, "features": _averaging("interpolate_features"),
    "parameters": _averaging("average"), "bowl": _bowl, "prediction": _prediction, "routing": _routing, "adaptation": _adaptation, "span": _span,
    "saturation": _saturation, "equal_flops": _equal_flops, "loses_too": _loses_too, "outputs": _outputs, "gap": _gap, "gate": _gate,
    "input": _input, "target_text": _target_text, "joint": _joint,
}
