"""Does similarity predict what merging loses? The members' CKA against the merge gap: the loss of the even mixture minus the mean of
the parents' losses. Correlated within degree, and used to predict specialists that were left out, beside simpler predictors."""
import numpy as np
import pandas as pd

import prediction
from sweep import Missing, best, contrast, interpolations, specialist_of

from . import style
from .similarity_against_degree import between_members, interval_below_one

NAME = "similarity_and_merge_gap"
METHODS = {"average": "parameters averaged", "interpolate_features": "MLP outputs interpolated"}
TASK_VECTORS = {"task_norm": "norm of the task vectors", "task_cosine": "cosine of the task vectors"}


def even_mixtures(sweep, target, method):
    """(pair, degree, entry, first parent, second parent) of every pair of two different specialists at equal weights, twins left out."""
    found = []
    for pair in [p for p, t in sweep.cases() if t == target]:
        members = sweep.members(pair)
        if len(members) != 2 or any("#" in m for m in members) or specialist_of(members[0]) == specialist_of(members[1]):
            continue
        for degree in sweep.degrees(pair, target):
            rows = interpolations(sweep, pair, target, degree, method)
            rows = rows[(rows["weight_1"] - rows["weight_2"]).abs() < 1e-9] if len(rows) else rows
            if degree > 0 and len(rows):
                found.append((pair, degree, best(sweep.entries(rows)), *(sweep.specialist(m, degree, target) for m in members)))
    return found


def gaps(sweep, target, metric):
    """One row a pair and degree, seeds averaged: specialist_a, specialist_b, degree; gap (on test), similarity (mean of the blocks) and
    their intervals; parents, the mean of the parents' losses on select, since theirs on test is part of the gap; task_norm and task_cosine,
    NaN where the store lacks them. Of the two ways to mix the one with more rows."""
    mixtures = {m: even_mixtures(sweep, target, m) for m in METHODS}
    method = max(mixtures, key=lambda m: len(mixtures[m]))
    rows, arrays = [], {}
    for pair, degree, entry, first, second in mixtures[method]:
        members = sweep.members(pair)
        if pair not in arrays:
            arrays[pair] = between_members(sweep, metric, members)
        if arrays[pair] is None or degree not in arrays[pair]["degree"].values:
            continue
        value = arrays[pair]["value"].sel(degree=degree).values
        blocks = np.arange(value.shape[-1])
        by_seed = np.nanmean(value[:, blocks, blocks], axis=1)
        similarity = interval_below_one(by_seed)
        gap = contrast([(1, entry), (-0.5, first), (-0.5, second)])
        norm, cosine = sweep.task_vectors(pair, degree)
        rows.append(dict(specialist_a=members[0], specialist_b=members[1], pair=pair, degree=degree, gap=gap.mean, gap_interval=gap,
                         similarity=similarity.mean, similarity_interval=similarity, task_norm=norm, task_cosine=cosine, parents=(first.loss_select + second.loss_select) / 2))
    return pd.DataFrame(rows), method


def draw(sweep, target):
    metric = next((m for m in ("cka_debiased", "cka_linear") if m in sweep.comparisons["metric"].values), None)
    if metric is None:
        raise Missing("comparisons by cka_debiased or cka_linear")
    table, method = gaps(sweep, target, metric)
    if table.empty:
        raise Missing("pairs of specialists with their comparison and their even mixture (average or interpolate_features with alpha 0.5)")
    chosen = prediction.complete(table)
    try:
        relation = prediction.mantel(chosen, "similarity", "gap")
        predictors = predictors_of(chosen)
        compared = prediction.compare(chosen, "gap", predictors, "degree")
        why_not = ""
    except prediction.NotEstimable as lack:
        relation, compared, why_not = None, [], str(lack)
    figure, axes, room = style.new_figure(1, 2 if compared else 1, 9.6 if compared else 6.8, 4.6, legend_lines=1)
    cut = scatter(axes[0][0], table, chosen if relation else table, metric, target)
    if compared:
        predictions(axes[0][1], compared)
    style.legend_below(room, axes[0][0], 6)
    caption = (f"Merge gap: {METHODS[method]} at equal weights, minus the mean of the parents' losses; below 0 the mixture is better than its parents are on "
               f"average. Bars: 95 % intervals (Student's t; {style.sample_sizes(list(table['gap_interval']))}){', cut at the edges' if cut else ''}. ")
    if relation:
        low, high = (f(prediction.without_each_specialist(chosen, "similarity", "gap")) for f in (min, max))
        caption += "Hollow: not used, since at that degree, or with those specialists, not every pair is there. " if len(chosen) < len(table) else ""
        caption += (f"r: over pairs, each degree's mean taken out, seeds averaged ({', '.join(prediction.specialists_of(chosen))}; degrees "
                    f"{', '.join(str(d) for d in sorted(chosen['degree'].unique()))}); without one specialist {low:+.2f} to {high:+.2f}. p: Mantel, "
                    f"{'all' if relation.exact else 'a sample of'} {relation.labellings} labellings of the specialists, so {1 / relation.labellings:.2g} at best. Right: mean "
                    "absolute error on the pairs of a specialist left out, least squares on the others; bars: 95 % interval of the paired difference to degree "
                    f"alone (Student's t, n = {relation.specialists} specialists, approximate: a pair belongs to two). Parents' losses: on select. ")
    absent = [words for column, words in TASK_VECTORS.items() if not np.isfinite(chosen[column]).all()]
    caption += f"Not in the store for all of these pairs, so not compared: {' and '.join(absent)} (rows of task_arithmetic over all layers note them)." if absent else ""
    return style.finish(figure, describe(relation, compared, why_not, metric), caption)


def predictors_of(chosen):
    several = chosen["degree"].nunique() > 1
    simpler = {"parents' losses": ("degree", "parents"),
               **{words: ("degree", column) for column, words in TASK_VECTORS.items() if np.isfinite(chosen[column]).all()}}
    return {**({"constant": ()} if several else {}), "degree": ("degree",), **simpler, "CKA, without degree": ("similarity",), "CKA": ("degree", "similarity"),
            "CKA and parents' losses": ("degree", "similarity", "parents")}


def scatter(axis, table, chosen, metric, target):
    """Filled: the chosen rows. Names stand at those of their last degree, where they have room. Returns whether bars are cut."""
    chosen = set(zip(chosen["pair"], chosen["degree"]))
    inside = [key in chosen for key in zip(table["pair"], table["degree"])]
    looks = style.degree_styles(sorted(table["degree"].unique()))
    used = {degree for degree, there in zip(table["degree"], inside) if there}
    for (degree, solid), own in table.groupby(["degree", pd.Series(inside, index=table.index)], sort=True):
        ends = {}
        for side in ("similarity", "gap"):
            intervals = own[side + "_interval"]
            ends[side] = [[i.mean - i.low if np.isfinite(i.low) else 0 for i in intervals], [i.high - i.mean if np.isfinite(i.high) else 0 for i in intervals]]
        axis.errorbar(own["similarity"], own["gap"], xerr=ends["similarity"], yerr=ends["gap"], capsize=2, elinewidth=0.7,
                      label=f"degree {degree}" if solid or degree not in used else None, **{**looks[degree], "linestyle": ""},
                      **({} if solid else dict(markerfacecolor="white", alpha=0.6)))
    named = table[inside]
    named = named[named["degree"] == named["degree"].max()]
    (least, most), (left, right_end) = (table["similarity"].min(), table["similarity"].max()), axis.get_xlim()
    room = 1.5 * max(most - least, 1e-6)  # few seeds can give bars beside which the points cannot be told apart
    axis.set_xlim(max(left, least - room), min(right_end, most + room))
    cut = left < least - room or right_end > most + room
    width, height, placed = np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim()), []
    for _, row in named.sort_values("gap").iterrows():
        x, y = row["similarity"], row["gap"]
        if all(abs(x - a) > 0.3 * width or abs(y - b) > 0.04 * height for a, b in placed):
            right = x > np.mean(axis.get_xlim())
            axis.annotate(row["pair"], (x, y), xytext=(-5 if right else 5, 5), textcoords="offset points", fontsize=6.5, color="0.3", ha="right" if right else "left",
                          zorder=6, bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.4))
            placed.append((x, y))
    axis.axhline(0, label="no gap", **style.BASE)
    axis.set_xlabel(f"{style.metric_name(metric)} between the members, mean of the blocks")
    axis.set_ylabel(f"merge gap on {target} (nat per token)")
    return cut


def predictions(axis, compared):
    reference = next(p for p in compared if p.name == "degree").error.mean
    for place, one in enumerate(reversed(compared)):
        ends = [[one.gain.high - one.gain.mean], [one.gain.mean - one.gain.low]]  # error = the reference's minus the gain
        axis.errorbar([one.error.mean], [place], xerr=ends, capsize=2.5, elinewidth=1, linestyle="", color="#0072B2" if "CKA" in one.name else "0.4",
                      marker="o" if "CKA" in one.name else "s")
    axis.axvline(reference, **style.BASE)
    axis.set_yticks(range(len(compared)), labels=[("degree and " if n in ("CKA", "parents' losses", *TASK_VECTORS.values()) else "") + n for n in reversed([p.name for p in compared])], fontsize=8)
    axis.set_ylim(-0.6, len(compared) - 0.4)
    axis.set_xlabel("error on specialists left out (nat per token)")


def describe(relation, compared, why_not, metric):
    name = style.metric_name(metric)
    if relation is None:
        return f"Whether {name} predicts the merge gap is not estimable: {why_not}"
    word = f"pairs of higher {name} have the {'smaller' if relation.correlation < 0 else 'larger'} merge gap"
    known = f"r = {relation.correlation:+.2f}, p = {relation.p:.2g}; {relation.specialists} specialists, {relation.pairs} pairs"
    text = f"At one degree {word} ({known})" if relation.p <= 0.05 else f"At one degree no certain relation of {name} and merge gap ({known})"
    gain = next(p for p in compared if p.name == "CKA").gain
    return text + f"; unseen specialists are predicted with an error {style.change(gain, 'larger', 'smaller')} than by degree alone"
