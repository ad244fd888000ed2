#!/usr/bin/python3
"""The paper's experiments and their corrected versions on a store that configs/paper-small filled, beside the paper's own figures.

The paper's figures are constants here, E1 to E12 as its code and notebooks give them (Pari, Jelassi and Agrawal, arXiv 2411.02207: losses
in bfloat16, one seed); everything else is computed from the store. Each experiment names the differences that decide, signed so that
the paper's direction is above zero: *same* if all lie there with their whole 95 % interval, *opposite* if all lie below, *in part* if
some lie above, *not certain* else; for the correlation over pairs of specialists Mantel's test decides, at 5 %. Best settings are chosen on the select split, losses are those of the test split. Intervals are
Student's t over paired seeds, or over text blocks where seeds change nothing.

usage: paper.py STORE.h5 [-o README.md]      prints Markdown, or writes it between the markers of a page
"""
from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import cmsweep_reader
import prediction as pairs_of_models
from cmsweep_reader import StoreError
from findings import Finding
from intervals import Interval, mean_interval
from sweep import Entry, Missing, Sweep, best, difference

BEGIN, END = "<!-- findings: written by analysis/paper.py -->", "<!-- end of findings -->"
TARGET = "doctest"
LONG, SHORT, CONSTANT, MIXED, FULL = ("code+math", "code-short+math-short", "code-constant+math-constant", "code-mix+math-mix", "code-all+math-all")
EARLY, LATE = 200, 1600   # of 1,750 steps, as the paper's 1k and 8k of 8,750
END_OF_SHORT = 500        # as the paper's separate runs of 2,500
FIRST = 20                # the first degree at which similarity is measured with enough rows
DENSE = {"span": 1, "top_k": "all", "scope": "per_layer", "include_base": False}
MIDDLE = 2                # of 4 blocks, as the paper's block 6 of 12
CODE_MODELS = ("code-short", "code-short#1", "code-short#2", "code-mix", "code-all")
FOUR = ("code-short", "math-short", "prose-short", "formal-short")

SAME, OPPOSITE, PART, UNCERTAIN, UNKNOWN, PLOTS = "same", "opposite", "in part", "not certain", "not estimable", "plots only"


@dataclass
class Result(Finding):
    """One experiment: `measured` lists all differences, `decisive` those that decide."""
    title: str = ""
    paper: str = ""                                 # its figures
    said: list = field(default_factory=list)        # losses and the like, in words
    decisive: list = field(default_factory=list)

    def decide(self, what, interval):
        self.decisive.append(interval)
        return self.add(what, interval)


def direction(intervals):
    if not intervals or any(i.n == 0 or not np.isfinite(i.low) for i in intervals):
        return UNKNOWN
    above, below = sum(i.above_zero for i in intervals), sum(i.below_zero for i in intervals)
    if above == len(intervals):
        return SAME
    if below == len(intervals):
        return OPPOSITE
    return PART if above else UNCERTAIN if not below else f"{OPPOSITE}, in part"


class Store:
    """The store's rows by what the experiments call them. Everything raises Missing where there is nothing."""

    def __init__(self, paths):
        self.sweep = Sweep(paths, outside_plan=True)
        self.data = self.sweep.comparisons

    def rows(self, pair, degree, method, target=TARGET, **parameters):
        df = self.sweep.experiments
        keep = (df["method"] == method) & (df["target"] == target) & (df["degree"] == degree).fillna(False).astype(bool)
        for name, value in parameters.items():
            if name not in df:
                raise Missing(f"{method} with {name}")
            keep &= value(df[name]) if callable(value) else df[name] == value
        of_pair = df[keep & (df["pair"] == pair)]
        if of_pair.empty and degree == 0:
            # All specialists are the base there: a result is the same under the name of any pair of as many members.
            of_pair = df[keep & (df["pair"].astype(str).str.count(r"\+") == pair.count("+"))]
            of_pair = of_pair[of_pair["pair"] == of_pair["pair"].iloc[0]] if len(of_pair) else of_pair
        if of_pair.empty:
            raise Missing(f"{method} of {pair} at degree {degree} on {target}" + (f" with {sorted(parameters)}" if parameters else ""))
        return of_pair

    def best(self, pair, degree, method, target=TARGET, **parameters) -> Entry:
        return best(self.sweep.entries(self.rows(pair, degree, method, target, **parameters)))

    def only(self, pair, degree, method, target=TARGET, **parameters) -> Entry:
        entries = self.sweep.entries(self.rows(pair, degree, method, target, **parameters))
        if len(entries) > 1:
            raise Missing(f"one setting of {method} of {pair} at degree {degree}: there are {len(entries)}")
        return entries[0]

    def route(self, pair, degree, **parameters):
        return self.only(pair, degree, "route", **{**DENSE, **parameters})

    def inside(self, pair, degree, method="interpolate_features"):
        """The best true mixture of two members."""
        return self.best(pair, degree, method, alpha=lambda alpha: (alpha > 0) & (alpha < 1))

    def parent(self, pair, degree):
        """The better member."""
        return best([self.sweep.specialist(name, degree, TARGET) for name in pair.split("+")])

    def similarity(self, metric, probe, a, b, degree, against="pair", block=None, name="value"):
        """Per seed: similarity of two models alike in degree, of a block or the mean over the blocks."""
        d = self.data
        keep = ((d["metric"].values == metric) & (d["probe"].values == probe) & (d["model_a"].values == a) & (d["model_b"].values == b)
                & (d["degree_a"].values == degree) & (d["against"].values == against))
        if against == "pair":
            keep &= d["degree_b"].values == degree
        rows = np.flatnonzero(keep)
        if not len(rows):
            raise Missing(f"{metric} of {a} and {b} at degree {degree} on {probe}")
        rows = rows[np.argsort(d["seed"].values[rows], kind="stable")]
        diagonal = np.array([np.diagonal(d[name].values[row]) for row in rows])
        return diagonal[:, block] if block is not None else np.nanmean(diagonal, axis=1)

    def ceiling(self, metric, probe, models, degree):
        """Per seed: the same specialists under another seed, mean over specialists, other seeds and blocks."""
        d = self.data
        keep = ((d["metric"].values == metric) & (d["probe"].values == probe) & np.isin(d["model_a"].values, models)
                & (d["degree_a"].values == degree) & (d["against"].values == "seeds"))
        rows = np.flatnonzero(keep)
        if not len(rows):
            raise Missing(f"{metric} of {' and '.join(models)} under two seeds at degree {degree} on {probe}")
        values = {}
        for row in rows:
            for seed in (d["seed"].values[row], d["seed_b"].values[row]):
                values.setdefault(int(seed), []).append(np.nanmean(np.diagonal(d["value"].values[row])))
        return np.array([np.mean(values[seed]) for seed in sorted(values)])


def show(entry: Entry, what):
    """"best at alpha 0.5: 1.990": the test loss, mean over the seeds."""
    return f"{what} {entry.loss:.3f}"


def at_alpha(entry):
    return f"at alpha {entry['alpha']:g}"


def mean_of(values, over="seeds"):
    return f"{mean_interval(values, over).mean:.3f}"


# ---- the paper's experiments

EXPERIMENTS, CORRECTED = {}, {}


def experiment(name, title, paper, registry=EXPERIMENTS):
    def register(function):
        registry[name] = (title, paper, function)
        return function
    return register


def corrected(name, title):
    return experiment(name, title, "", CORRECTED)


@experiment("E1", "specialists go on learning their own text", "code 0.876 @1k, 0.684 @8k; math 0.846, 0.610")
def specialists(store, found):
    for name in ("code", "math"):
        early, late = (store.sweep.specialist(name, degree, name) for degree in (EARLY, LATE))
        found.said.append(f"{name} {early.loss:.3f} @{EARLY}, {late.loss:.3f} @{LATE}")
        found.decide(f"{name} on its own text, degree {EARLY} minus {LATE}", difference(early, late))
    for name, other in (("code", "math"), ("math", "code")):
        found.add(f"{name} on {other} minus the base there, degree {LATE}", difference(store.sweep.specialist(name, LATE, other), store.sweep.base(other)))


@experiment("E2", "features interpolated halfway do better than both parents", "1k: 2.0 → 1.625 @0.5 → 2.0; 8k: 2.73 → 1.72 @0.6 → 2.03")
def interpolation(store, found):
    for degree in (EARLY, LATE):
        mixed, parent = store.inside(LONG, degree), store.parent(LONG, degree)
        ends = [store.sweep.specialist(name, degree, TARGET).loss for name in ("math", "code")]
        found.said.append(f"@{degree}: {ends[0]:.3f} → {mixed.loss:.3f} @{mixed['alpha']:g} → {ends[1]:.3f}")
        found.decide(f"better parent minus best mixture, degree {degree}", difference(parent, mixed))


@experiment("E3", "the best mixture first gains with the degree, then loses", "2.016 → 1.656 @90, 1.680 @100; 1.625 @1k, 1.719 @8k: a minimum between")
def bowl(store, found, pair=LONG):
    degrees = [d for d in store.sweep.degrees(pair, TARGET) if d > 0]
    at = {d: store.best(pair, d, "interpolate_features", alpha=lambda alpha: (alpha > 0.35) & (alpha < 0.65)) for d in degrees}
    if len(at) < 3:
        raise Missing(f"mixtures of {pair} at three degrees")
    lowest, last = min(at, key=lambda d: at[d].loss_select), degrees[-1]
    found.said.append("; ".join(f"{at[d].loss:.3f} @{d}" for d in degrees) + f"; base {store.sweep.base(TARGET).loss:.3f}; lowest @{lowest}")
    found.add(f"base minus best mixture, degree {lowest}", difference(store.sweep.base(TARGET), at[lowest]))
    before = lowest if lowest != last else degrees[-2]
    found.decide(f"best mixture at degree {last} minus degree {before}", difference(at[last], at[before]))


@experiment("E4", "biased linear CKA of the middle block falls with the degree", "0.979 @10, 0.971 @100, flat between; elsewhere 0.45–0.76 over 500–8,500")
def biased_similarity(store, found):
    value = {d: store.similarity("cka_linear", "manual-n16", "code", "math", d, block=MIDDLE) for d in (2, FIRST, EARLY, LATE)}
    null = store.similarity("cka_linear", "manual-n16", "code", "math", LATE, block=MIDDLE, name="null_mean")
    found.said.append(", ".join(f"{mean_of(v)} @{d}" for d, v in value.items()) + f"; independent features would give {mean_of(null)}")
    found.decide(f"degree 2 minus degree {LATE}", mean_interval(value[2] - value[LATE], "seeds"))
    found.add(f"degree 2 minus degree {FIRST}", mean_interval(value[2] - value[FIRST], "seeds"))


@experiment("E5", "parameters averaged, linearly and on the sphere", PLOTS)
def averages(store, found):
    linear, sphere = (store.inside(SHORT, END_OF_SHORT, method) for method in ("average", "slerp"))
    found.said.append(f"{show(linear, 'average')} {at_alpha(linear)}; {show(sphere, 'slerp')} {at_alpha(sphere)}; better parent {store.parent(SHORT, END_OF_SHORT).loss:.3f}")
    found.add("better parent minus best average", difference(store.parent(SHORT, END_OF_SHORT), linear))
    found.add("best average minus best slerp", difference(linear, sphere))


@experiment("E6", "routing does better than interpolating", "1.328 @1k, 1.344 @8k (interpolating: 1.625, 1.719)")
def routing(store, found):
    for degree in (EARLY, LATE):
        routed, mixed = store.route(LONG, degree), store.inside(LONG, degree)
        found.said.append(f"@{degree}: {show(routed, 'routing')}, {show(mixed, 'best mixture')}")
        found.decide(f"best mixture minus routing, degree {degree}", difference(mixed, routed))


@experiment("E6, degree", "routing is no better late than early", "1.328 @1k, 1.344 @8k: two steps of bfloat16")
def routing_late(store, found):
    early, late = (store.route(LONG, degree) for degree in (EARLY, LATE))
    found.said.append(f"{early.loss:.3f} @{EARLY}, {late.loss:.3f} @{LATE}")
    found.decide(f"routing at degree {LATE} minus degree {EARLY}", difference(late, early))


@experiment("E7", "the wider the span of routing, the better", "span 1, 2, 3, 4: 1.313, 1.203, 1.172, 1.164")
def span(store, found):
    routed = {k: store.route(SHORT, END_OF_SHORT, span=k) for k in (1, 2, 3, 4)}
    found.said.append("span 1, 2, 3, 4: " + ", ".join(f"{e.loss:.3f}" for e in routed.values()))
    for k in (2, 3, 4):
        found.decide(f"span {k - 1} minus span {k}", difference(routed[k - 1], routed[k]))


@experiment("E8", "one router for all blocks; the base as one more expert", PLOTS)
def variants(store, found):
    plain = store.route(SHORT, END_OF_SHORT)
    single, based = store.route(SHORT, END_OF_SHORT, scope="single"), store.route(SHORT, END_OF_SHORT, include_base=True)
    found.said.append(f"{show(plain, 'a router a block')}; {show(single, 'one router')}; {show(based, 'with the base')}")
    found.add("one router minus a router a block", difference(single, plain))
    found.add("without the base minus with it", difference(plain, based))


@experiment("E9", "with datamix, routing does no better", "1.352 with it, 1.328 and 1.344 (E6) without")
def datamix(store, found):
    mixed, plain = store.route(MIXED, END_OF_SHORT), store.route(SHORT, END_OF_SHORT)
    found.said.append(f"{mixed.loss:.3f} with it, {plain.loss:.3f} without")
    found.decide("routing with datamix minus without", difference(mixed, plain))
    found.add("best mixture with datamix minus without", difference(store.inside(MIXED, END_OF_SHORT), store.inside(SHORT, END_OF_SHORT)))
    alike = [store.similarity("cka_debiased", TARGET, *pair.split("+"), END_OF_SHORT) for pair in (MIXED, SHORT)]
    found.add("debiased CKA of the members with datamix minus without", mean_interval(alike[0] - alike[1], "seeds"))


@experiment("E10", "the base fine-tuned on the target, at the paper's learning rate", PLOTS)
def target_text(store, found):
    tuned, routed = store.best(LONG, LATE, "finetune_target", learning_rate=8e-5), store.route(LONG, LATE)
    found.said.append(f"{show(tuned, 'fine-tuned')} ({int(tuned['target_tokens']):,} tokens); {show(routed, 'routing')} ({int(routed['target_tokens']):,})")
    found.add(f"fine-tuned on the target minus routing, degree {LATE}", difference(tuned, routed))


@experiment("E11", "models of one kind are more alike, and mix with less loss", PLOTS)
def many_models(store, found, metric="cka_linear", probe="manual-n16"):
    pairs = list(itertools.combinations((*CODE_MODELS, "math-short"), 2))
    gaps = similarity_and_gap(store, metric, probe, pairs, [END_OF_SHORT])
    kind = np.where(gaps["specialist_b"] == "math-short", "across", "within")
    by_seed = gaps.groupby([kind, "seed"])[["similarity", "gap"]].mean()
    within, across = by_seed.loc["within"], by_seed.loc["across"]
    found.said.append(f"similarity {mean_of(within['similarity'])} within code, {mean_of(across['similarity'])} with mathematics; "
                      f"{(kind == 'within').sum() // len(within)} and {(kind == 'across').sum() // len(across)} pairs")
    found.add("similarity within code minus with mathematics", mean_interval(within["similarity"] - across["similarity"], "seeds"))
    found.add("merge gap with mathematics minus within code", mean_interval(across["gap"] - within["gap"], "seeds"))
    m = pairs_of_models.mantel(over_seeds(gaps), "similarity", "gap")
    found.said.append(f"correlation of similarity and merge gap {m.correlation:+.2f}, Mantel p {m.p:.3f}")


@experiment("E12", "a block is most like the same block, then its neighbours, of the other model", PLOTS)
def neighbours(store, found, metric="cka_linear"):
    d = store.data
    rows = np.flatnonzero((d["metric"].values == metric) & (d["probe"].values == "manual") & (d["model_a"].values == "code") & (d["model_b"].values == "math")
                          & (d["degree_a"].values == LATE) & (d["against"].values == "pair"))
    if not len(rows):
        raise Missing(f"{metric} of code and math at degree {LATE} on manual")
    matrices = d["value"].values[rows]
    distance = np.abs(np.subtract.outer(*[np.arange(matrices.shape[1])] * 2))
    means = [np.nanmean(matrices[:, distance == k], axis=1) for k in range(matrices.shape[1])]
    found.said.append("mean similarity by distance of the blocks: " + ", ".join(f"{k}: {mean_of(v)}" for k, v in enumerate(means)))
    found.add("same block minus neighbours", mean_interval(means[0] - means[1], "seeds"))
    found.add("neighbours minus blocks two apart", mean_interval(means[1] - means[2], "seeds"))


# ---- the corrected versions

@corrected("similarity", "specialising lowers similarity: debiased, n = 256 at p = 96, mean of the blocks")
def debiased_similarity(store, found):
    for probe in (TARGET, "manual"):
        value = {d: store.similarity("cka_debiased", probe, "code", "math", d) for d in (FIRST, EARLY, LATE)}
        found.said.append(f"{probe}: " + ", ".join(f"{mean_of(v)} @{d}" for d, v in value.items()) + "; null 0")
        found.decide(f"{probe}: degree {FIRST} minus degree {LATE}", mean_interval(value[FIRST] - value[LATE], "seeds"))
        found.decide(f"{probe}: same specialist under another seed minus the pair, degree {LATE}",
                     mean_interval(store.ceiling("cka_debiased", probe, ["code", "math"], LATE) - value[LATE], "seeds"))


@corrected("constant rate", "the best mixture loses again, where the degree alone changes")
def constant_rate(store, found):
    bowl(store, found, CONSTANT)


@corrected("controls of routing", "routing beats fixed weights learned from the same text, and owes its gain to the specialists")
def controls(store, found):
    base, nothing = store.sweep.base(TARGET), store.route(LONG, 0)
    found.add("routing's gain over the base at degree 0, where there is nothing to combine", difference(base, nothing))
    for degree in (EARLY, LATE):
        routed, learned = store.route(LONG, degree), store.only(LONG, degree, "learned_average")
        found.said.append(f"@{degree}: {show(routed, 'routing')}, {show(learned, 'learned average')}, {show(store.inside(LONG, degree), 'best mixture')}, "
                          + show(store.route(LONG, degree, top_k=1), "top-1"))
        found.decide(f"learned average minus routing, degree {degree}", difference(learned, routed))
        found.decide(f"routing at degree 0 minus degree {degree}", difference(nothing, routed))
        found.add(f"top-1 minus dense, degree {degree}", difference(store.route(LONG, degree, top_k=1), routed))


@corrected("outputs, untrained", "averaging predictions does better than averaging features or parameters")
def ensembles(store, found):
    for degree in (EARLY, LATE):
        outputs = best([store.only(LONG, degree, m) for m in ("ensemble_probabilities", "ensemble_logits")])
        found.said.append(f"@{degree}: {show(outputs, outputs['method'])}, {show(store.inside(LONG, degree), 'best mixture of features')}, "
                          + show(store.inside(LONG, degree, "average"), "best average of parameters"))
        found.decide(f"best mixture of features minus best ensemble, degree {degree}", difference(store.inside(LONG, degree), outputs))
        found.decide(f"best average of parameters minus best ensemble, degree {degree}", difference(store.inside(LONG, degree, "average"), outputs))


@corrected("outputs, trained", "a gate on whole models' predictions does better than routers inside")
def gates(store, found):
    for degree in (EARLY, LATE):
        gate, selected = store.only(LONG, degree, "route_tokens"), store.only(LONG, degree, "select_model")
        found.said.append(f"@{degree}: {show(gate, 'route_tokens')}, {show(store.route(LONG, degree), 'routing inside')}, {show(selected, 'select_model')}")
        found.decide(f"routing inside minus route_tokens, degree {degree}", difference(store.route(LONG, degree), gate))
    found.add(f"ensemble_probabilities minus route_tokens, degree {LATE}", difference(store.only(LONG, LATE, "ensemble_probabilities"), gate))
    found.add(f"ensemble_probabilities minus select_model, degree {LATE}", difference(store.only(LONG, LATE, "ensemble_probabilities"), selected))


@corrected("span at equal FLOPs", "a wider span does better with two experts a token")
def equal_flops(store, found):
    for degree in (0, END_OF_SHORT):
        one = store.route(SHORT, degree)
        two = {k: store.route(SHORT, degree, span=k, top_k=2, renormalise=True) for k in (2, 3)}
        wide = {k: store.route(SHORT, degree, span=k) for k in (2, 3)}
        found.said.append(f"@{degree}: span 1 {one.loss:.3f}; dense span 2, 3: " + ", ".join(f"{e.loss:.3f}" for e in wide.values())
                          + "; two of span 2, 3: " + ", ".join(f"{e.loss:.3f}" for e in two.values()))
        for k, entry in two.items():
            add = found.decide if degree else found.add
            add(f"span 1 minus two experts of span {k}, degree {degree}", difference(one, entry))
        for k, entry in wide.items():
            found.add(f"span 1 minus dense span {k} (k times the MLPs), degree {degree}", difference(one, entry))


@corrected("span at equal experts", "neighbouring blocks are better experts than the same block of other seeds")
def equal_experts(store, found):
    for k in (2, 3):
        twins = "+".join(name + (f"#{i}" if i else "") for i in range(k) for name in SHORT.split("+"))
        same, wide = store.route(twins, END_OF_SHORT), store.route(SHORT, END_OF_SHORT, span=k)
        found.said.append(f"{2 * k} experts: {same.loss:.3f} of one block, {wide.loss:.3f} of {k} blocks")
        found.decide(f"{2 * k} experts of one block minus of {k} neighbouring ones, degree {END_OF_SHORT}", difference(same, wide))


@corrected("fair references", "routing beats the base trained on as much target text, and one model trained on both corpora")
def references(store, found):
    routed = store.route(SHORT, END_OF_SHORT)
    tuned, joint = store.best(SHORT, END_OF_SHORT, "finetune_target"), store.best(SHORT, END_OF_SHORT, "joint")
    found.said.append(f"{show(routed, 'routing')}, {show(tuned, 'fine-tuned on the target at 8e-4')}, {show(joint, 'joint')}")
    found.decide("fine-tuned on the target minus routing", difference(tuned, routed))
    found.decide("joint minus routing", difference(joint, routed))


@corrected("everything trained", "full-parameter specialists are less alike and mix worse than those of MLPs alone")
def full_parameters(store, found):
    alike = {pair: store.similarity("cka_debiased", TARGET, *pair.split("+"), END_OF_SHORT) for pair in (SHORT, FULL)}
    loss = {pair: store.inside(pair, END_OF_SHORT, "average") for pair in (SHORT, FULL)}
    found.said.append("; ".join(f"{pair}: CKA {mean_of(alike[pair])}, better parent {store.parent(pair, END_OF_SHORT).loss:.3f}, {show(loss[pair], 'average')}" for pair in loss))
    found.decide("debiased CKA, MLPs alone minus everything", mean_interval(alike[SHORT] - alike[FULL], "seeds"))
    gain = {pair: (store.parent(pair, END_OF_SHORT).rows.set_index("seed")["loss"] - loss[pair].rows.set_index("seed")["loss"]) for pair in loss}
    found.decide("gain of the best average over the better parent, MLPs alone minus everything", mean_interval(gain[SHORT] - gain[FULL], "seeds"))


@corrected("barrier", "a barrier of loss stands between the specialists, and aligning their units lowers it")
def barriers(store, found):
    for pair, degree in ((LONG, EARLY), (LONG, LATE), (FULL, END_OF_SHORT)):
        before, after = (barrier(store, pair, degree, method) for method in ("average", "rebasin"))
        found.said.append(f"highest point between the ends, above their chord, {pair} @{degree}: {mean_interval(before).mean:+.3f} before, {mean_interval(after).mean:+.3f} after")
        found.decide(f"{pair}, degree {degree}: highest point above the chord", mean_interval(before, "seeds"))
        found.decide(f"{pair}, degree {degree}: before minus after alignment", mean_interval(before - after, "seeds"))


@corrected("prediction", "the more alike two specialists are, the less merging loses (all pairs of four)")
def prediction(store, found):
    gaps = similarity_and_gap(store, "cka_debiased", TARGET, itertools.combinations(FOUR, 2), (50, 200, END_OF_SHORT))
    mean = over_seeds(gaps)
    for column, name in (("similarity", "similarity"), ("parents", "the parents' mean loss")):
        m = pairs_of_models.mantel(mean, column, "gap")
        found.said.append(f"correlation of {name} and merge gap, within degree {m.correlation:+.2f}, Mantel p {m.p:.3f} ({m.pairs} pairs, {m.labellings} labellings)")
    # Over seeds the correlation is certain to the third digit; what four specialists can say of others, Mantel's test alone tells.
    m = pairs_of_models.mantel(mean, "similarity", "gap")
    found.verdict = UNCERTAIN if not m.p <= 0.05 else SAME if m.correlation < 0 else OPPOSITE
    found.add("correlation of similarity and merge gap, within degree (Mantel's p decides)",
              mean_interval([pairs_of_models.within_degree_correlation(own, "similarity", "gap") for _, own in gaps.groupby("seed")], "seeds"))
    predictors = {"degree": ["degree"], "similarity": ["degree", "similarity"], "the parents' mean loss": ["degree", "parents"]}
    for predicted in pairs_of_models.compare(mean, "gap", predictors, "degree")[1:]:
        found.add(f"error on a left-out specialist's pairs, by degree alone minus by {predicted.name} besides", predicted.gain)


@corrected("code models", "models of one kind, being more alike, mix with less loss: debiased, n = 256")
def many_models_debiased(store, found):
    many_models(store, found, "cka_debiased", TARGET)
    found.decisive = [found.measured[-1][1]]  # the gap


@corrected("neighbours", "a block is most like the same block, then its neighbours, of the other model: debiased")
def neighbours_debiased(store, found):
    neighbours(store, found, "cka_debiased")
    found.decisive = [interval for _, interval in found.measured]


@corrected("retention", "a mixture keeps what its members learned of their own text")
def retention(store, found):
    for degree in (50, END_OF_SHORT):
        lost, left = [], []
        for a, b in itertools.combinations(FOUR, 2):
            for name in (a, b):
                corpus = name.removesuffix("-short")
                mixed = store.only(f"{a}+{b}", degree, "interpolate_features", corpus).rows.set_index("seed")["loss"]
                lost.append(mixed - store.sweep.specialist(name, degree, corpus).rows.set_index("seed")["loss"])
                left.append(store.sweep.base(corpus).rows.set_index("seed")["loss"] - mixed)
        found.add(f"mixture minus the specialist on its own text, mean of the pairs, degree {degree}", mean_interval(sum(lost) / len(lost), "seeds"))
        found.decide(f"base minus mixture on the members' own text, mean of the pairs, degree {degree}", mean_interval(sum(left) / len(left), "seeds"))


# ---- what they share

def merge_gap(store, pair, degree):
    """Per seed: loss of the mixture at alpha 0.5 minus the mean of the parents' losses."""
    mixed = store.only("+".join(pair), degree, "interpolate_features", alpha=0.5).rows.set_index("seed")["loss"]
    parents = [store.sweep.specialist(name, degree, TARGET).rows.set_index("seed")["loss"] for name in pair]
    return (mixed - sum(parents) / len(parents)).sort_index().to_numpy()


def barrier(store, pair, degree, method):
    """Per seed: the highest point of the losses between the ends of alpha above the chord between these; below zero where the whole
    line lies under it."""
    table = store.rows(pair, degree, method).pivot_table(index="alpha", columns="seed", values="loss", observed=True).sort_index()
    inside = table.index[(table.index > 0) & (table.index < 1)]
    if not {0.0, 1.0} <= set(table.index) or not len(inside):
        raise Missing(f"{method} of {pair} at both ends of alpha and between")
    alpha = inside.to_numpy()[:, None]
    chord = alpha * table.loc[1.0].to_numpy() + (1 - alpha) * table.loc[0.0].to_numpy()
    return (table.loc[inside].to_numpy() - chord).max(axis=0)


def similarity_and_gap(store, metric, probe, pairs, degrees):
    """One row a pair, degree and seed: similarity, merge gap, and the parents' mean loss on the target."""
    rows = []
    for (a, b), degree in itertools.product(pairs, degrees):
        alike, gap = store.similarity(metric, probe, a, b, degree), merge_gap(store, (a, b), degree)
        parents = sum(store.sweep.specialist(name, degree, TARGET).rows.sort_values("seed")["loss"].to_numpy() for name in (a, b)) / 2
        rows += [(a, b, degree, seed, *values) for seed, values in enumerate(zip(alike, gap, parents))]
    return pd.DataFrame(rows, columns=["specialist_a", "specialist_b", "degree", "seed", "similarity", "gap", "parents"])


def over_seeds(gaps):
    return gaps.groupby(["specialist_a", "specialist_b", "degree"], sort=False)[["similarity", "gap", "parents"]].mean().reset_index()


def results(paths, registry=None) -> list[Result]:
    """All experiments, or those of one registry."""
    store = Store(paths)
    found = []
    for name, (title, paper, measure) in (registry or {**EXPERIMENTS, **CORRECTED}).items():
        result = Result(name, LONG, TARGET, title=title, paper=paper)
        try:
            measure(store, result)
            if result.verdict == UNKNOWN:  # most leave it to their differences
                result.verdict = PLOTS if paper == PLOTS else direction(result.decisive)
        except Missing as lack:
            result.verdict, result.reason = UNKNOWN, f"the store lacks {lack}"
        found.append(result)
    return found


CONCLUSIONS = (
    ("Specialising makes the members' features less alike.", ("E4",), ("similarity",)),
    ("Mixing features does better than either specialist.", ("E2",), ()),
    ("Mixing fails as specialists go on: its loss has a minimum in the degree.", ("E3",), ("constant rate",)),
    ("Routing does better than mixing with fixed weights, by what the specialists know.", ("E6",), ("controls of routing",)),
    ("Asked here: routing beats the base trained on the same target text, and one model trained on both corpora.", ("fair references",), ()),
    ("Routing does not profit from more specialisation.", ("E6, degree",), ()),
    ("Routing over neighbouring blocks does better.", ("E7",), ("span at equal FLOPs", "span at equal experts")),
    ("Models should meet at their outputs, not inside.", ("outputs, untrained", "outputs, trained"), ()),
    ("The more alike the members are, the less merging loses.", ("prediction", "code models"), ()),
)
"""The paper's conclusions; the experiments that decide each; and the corrected versions that it has to survive."""

JUDGEMENTS = {SAME: "holds", OPPOSITE: "does not hold, the opposite does", PART: "holds in part", UNCERTAIN: "not certain", UNKNOWN: "not estimable",
              f"{OPPOSITE}, in part": "does not hold, in part the opposite does"}


def conclusion(found, decisive, checks=()):
    """In words. A conclusion that the plain experiments support and a corrected one does not is confounded."""
    verdicts = {name: found[name].verdict for name in (*decisive, *checks)}
    if all(v == SAME for v in verdicts.values()):
        return "holds here"
    each = ", ".join(f"{name}: {JUDGEMENTS[v]}" for name, v in verdicts.items())
    if UNKNOWN in verdicts.values():
        return "not estimable (" + each + ")" if len(verdicts) > 1 else "not estimable"
    if all(verdicts[name] == SAME for name in decisive):
        return f"confounded ({each})"
    return each if len(verdicts) > 1 else JUDGEMENTS[verdicts[decisive[0]]] + " here"


def cell(lines):
    return "<br>".join(line.replace("|", "\\|") for line in lines)


def differences(result):
    decisive = [id(i) for i in result.decisive]
    return [("**" if id(i) in decisive else "") + what + ("**" if id(i) in decisive else "") + ": " + i.text() for what, i in result.measured]


def markdown(paths) -> str:
    """Three tables: conclusions, experiments, corrected versions."""
    everything = results(paths)
    found = {r.name: r for r in everything}
    lines = ["### The paper's conclusions here", "", "| conclusion of the paper | here | decided by |", "|---|---|---|"]
    lines += [f"| {text} | **{conclusion(found, decisive, checks)}** | {', '.join(decisive + checks)} |" for text, decisive, checks in CONCLUSIONS]
    lines += ["", "### Its experiments", "", "| | the paper finds | its figures | here, loss in nats per byte | differences (in bold: those that decide) | direction |", "|---|---|---|---|---|---|"]
    for r in everything:
        if r.name in EXPERIMENTS:
            lines.append(f"| {r.name} | {r.title} | {r.paper} | {cell(r.said)} | {cell(differences(r) or [r.reason])} | **{r.verdict}** |")
    lines += ["", "### The corrected versions", "", "| | asked | here | differences (in bold: those that decide) | |", "|---|---|---|---|---|"]
    for r in everything:
        if r.name in CORRECTED:
            lines.append(f"| {r.name} | {r.title} | {cell(r.said)} | {cell(differences(r) or [r.reason])} | **{JUDGEMENTS[r.verdict]}** |")
    runs = cmsweep_reader.runs(paths)
    minutes = (runs["ended"] - runs["started"]).dt.total_seconds().sum() / 60
    lines += ["", f"From {', '.join(sorted(set(runs['sweep'])))}: {len(runs)} starts of cmsweep {', '.join(sorted(set(runs['version'])))} on "
              f"{', '.join(str(n) for n in sorted(set(runs['ranks'])))} ranks, {minutes:.0f} minutes in all on a machine that did other work besides; "
              f"{len(cmsweep_reader.experiments(paths, outside_plan=True))} rows."]
    return "\n".join(lines)


def write_into(page: Path, text: str):
    """Puts the text between the markers of the page."""
    old = page.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}")
    page.write_text(old[:old.index(BEGIN)] + BEGIN + "\n" + text + "\n" + old[old.index(END):], encoding="utf-8")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="The paper's experiments on the store of configs/paper-small, beside the paper's figures.")
    parser.add_argument("stores", nargs="+", metavar="STORE.h5")
    parser.add_argument("-o", "--output", metavar="PAGE.md", type=Path)
    options = parser.parse_args(arguments)
    try:
        text = markdown(options.stores)
        if options.output:
            write_into(options.output, text)
        else:
            print(text)
    except (StoreError, ValueError, OSError) as error:
        print(f"paper.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
