"""Routing over several blocks at equal cost. Span k as it is usually run ("dense") mixes k times as many experts as span 1, so that
its gain may be that of its FLOPs. Beside it: span k keeping as many experts as span 1 has (top-N, renormalised) against dense span 1,
and dense span k against dense span 1 over k times as many experts of the same block, from twins of the specialists ("code#1")."""
from collections import Counter

from sweep import Missing, difference, specialist_of

from . import style

NAME = "span_at_equal_cost"
LOOKS = {
    "dense": dict(color="#009E73", marker="^", linestyle="-"),
    "top": dict(color="#D55E00", marker="s", linestyle="--"),
    "twins": dict(color="#0072B2", marker="o", linestyle=":"),
}
COSTS = {"flops_per_token": "FLOPs per token", "parameters_stored": "parameters stored", "parameters_active": "active parameters"}
VARIED = ("span", "top_k", "renormalise")


def twin_pairs(sweep, pair):
    """k -> the pair with k twins (itself counted) of each of this pair's specialists."""
    own, found = Counter(map(specialist_of, sweep.members(pair))), {}
    for other in dict.fromkeys(p for p, _ in sweep.cases()):
        count = Counter(map(specialist_of, sweep.members(other)))
        k = len(sweep.members(other)) // len(sweep.members(pair))
        if k > 1 and count == Counter({name: k * n for name, n in own.items()}) and set(sweep.members(pair)) <= set(sweep.members(other)):
            found[k] = other
    return found


def ways(sweep, pair, target):
    """degree -> {("dense", k), ("top", k), ("twins", k): entry}, all with the same router but for span and top-k. Of several routers
    the one with the most of these; of equals the lowest select loss."""
    count = len(sweep.members(pair))
    parts = {}
    for k, own in {1: pair, **twin_pairs(sweep, pair)}.items():
        rows = sweep.select(own, target)
        rows = rows[rows["method"] == "route"]
        rows = rows[rows["layer"] == sweep.main_layer(rows)] if len(rows) else rows
        parts[k] = rows.assign(**{p: rows[p] if p in rows else None for p in VARIED})
    if parts[1].empty:
        raise Missing("rows of method route")
    fixed = [p for p in sweep.experiments.attrs["parameters"] if p not in VARIED and parts[1][p].notna().any()]
    candidates = []
    for router in parts[1][fixed].astype(str).drop_duplicates().to_dict("records"):
        found = {}
        for k, rows in parts.items():
            for p, value in router.items():
                rows = rows[rows[p].astype(str) == value]
            dense = rows[rows["top_k"].astype(str) == "all"]
            if k == 1:
                kept = rows[(rows["top_k"].astype(str).isin((str(count), f"{count:.1f}"))) & (rows["renormalise"] == True)]  # noqa: E712
                pieces = [("dense", int(s), dense[dense["span"] == s]) for s in sorted(dense["span"].unique())]
                pieces += [("top", int(s), kept[kept["span"] == s]) for s in sorted(kept["span"].unique()) if s > 1]
            else:
                pieces = [("twins", k, dense[dense["span"] == 1])]
            for kind, span, own in pieces:
                for entry in sweep.entries(own):
                    found.setdefault(int(entry["degree"]), {}).setdefault((kind, span), entry)
        candidates.append((found, router))
    if not any(("dense", 1) in at and len(at) > 1 for found, _ in candidates for at in found.values()):
        raise Missing("route over span 1 and over another span with the same router")
    return min(candidates, key=lambda c: (-sum(len(at) for at in c[0].values()), sum(e.loss_select for at in c[0].values() for e in at.values())))


def comparisons(at, count):
    """[(key, label, first, second)] of the differences that one degree's entries allow."""
    found = []
    for kind, k in sorted(at):
        entry = at[kind, k]
        if kind == "dense" and k > 1 and ("dense", 1) in at:
            found.append((("dense", k), f"span {k} against span 1, both dense", entry, at["dense", 1]))
        if kind == "top" and ("dense", 1) in at:
            found.append((("top", k), f"span {k}, top-{count} renormalised,\nagainst dense span 1", entry, at["dense", 1]))
        if kind == "twins" and ("dense", k) in at:
            found.append((("twins", k), f"dense span {k} against span 1 over\n{count * k} experts of the same block", at["dense", k], entry))
    return found


def ratio(first, second, cost):
    return f"{float(first[cost]) / float(second[cost]):.2f}"


def draw(sweep, pair, target):
    found, router = ways(sweep, pair, target)
    base, count, degrees = sweep.base(target), len(sweep.members(pair)), sorted(found)
    styles = style.degree_styles(degrees)
    differences = {d: {key: (label, first, second, difference(first, second)) for key, label, first, second in comparisons(found[d], count)} for d in degrees}
    keys = sorted({key for own in differences.values() for key in own}, key=lambda key: (list(LOOKS).index(key[0]), key[1]))
    figure, axes, room = style.new_figure(2, 3, 9.6, 5.0 + 0.45 * len(keys), legend_lines=2)
    lower = axes[1][0]
    lower.set_subplotspec(axes[1][0].get_subplotspec().get_gridspec()[1, :])
    for axis in axes[1][1:]:
        axis.remove()
    used, last = [], degrees[-1]
    words = {"dense": "spans, dense", "top": f"spans, top-{count} renormalised", "twins": "span 1 over twins' experts"}
    shown = [0, last] if 0 in degrees and last else [last]
    for axis, (cost, label) in zip(axes[0], COSTS.items()):
        for degree in shown:
            at = found[degree]
            for kind, look in LOOKS.items():
                own = [(k, entry) for (name, k), entry in sorted(at.items()) if name == kind]
                if not own:
                    continue
                if kind != "dense" and ("dense", 1) in at:
                    own = [(1, at["dense", 1]), *own]  # where the line starts
                intervals = [difference(e, base) for _, e in own]
                used += intervals
                hollow = dict(markerfacecolor="white", alpha=0.8) if degree != last else {}
                places = [float(e[cost]) / float(base[cost]) for _, e in own]
                style.line_with_intervals(axis, places, [e.loss for _, e in own], intervals, **look, **hollow,
                                          label=f"{words[kind]}, degree {degree}")
                for place, (k, entry) in zip(places, own):
                    if degree == last and (kind == "twins" and k > 1 or kind == "dense" and cost == "flops_per_token"):
                        axis.annotate(f"span {k}" if kind != "twins" else f"{k * count} experts", (place, entry.loss), xytext=(4, 5 if kind == "dense" else -9),
                                      textcoords="offset points", fontsize=7, color="0.3")
        axis.axhline(base.loss, label="base", **style.BASE)
        axis.margins(x=0.15)
        low, high = axis.dataLim.x0, axis.dataLim.x1
        if high < 1.05 * low:  # costs that differ by the routers alone are equal to the eye
            axis.set_xlim(0.9 * low, 1.1 * high)
        axis.set_xlabel(f"{label} (base: 1)")
    axes[0][0].set_ylabel(f"loss on {target} (nat per token)")
    names = []
    for row, key in enumerate(reversed(keys)):
        for degree in degrees:
            if key in differences[degree]:
                label, first, second, interval = differences[degree][key]
                used.append(interval)
                height = row - (degrees.index(degree) - (len(degrees) - 1) / 2) * 0.6 / max(1, len(degrees))
                ends = [[interval.mean - interval.low], [interval.high - interval.mean]] if interval.n > 1 else None
                lower.errorbar([interval.mean], [height], xerr=ends, capsize=2.5, elinewidth=1, **{**styles[degree], "linestyle": ""}, label=f"degree {degree}")
        costs = [f"{ratio(first, second, cost)} x {word}" for cost, word in (("flops_per_token", "FLOPs"), ("parameters_stored", "stored"))]
        names.append(f"{label}\n({', '.join(costs)})")
    lower.axvline(0, **style.BASE)
    lower.set_ylim(-0.6, len(keys) - 0.4)
    lower.set_yticks(range(len(keys)), labels=names, fontsize=7)
    lower.set_xlabel(f"difference in loss on {target} (nat per token); left of 0: the span is better")
    handles, labels = axes[0][0].get_legend_handles_labels()
    more = dict(zip(*reversed(lower.get_legend_handles_labels())))
    labels_all = labels + [f"degree {d}" for d in degrees if f"degree {d}" in more]
    style.legend_below(room, None, 3, (handles + [more[f"degree {d}"] for d in degrees if f"degree {d}" in more], labels_all))
    lacking = [text for kind, text in (("top", f"span with top_k = {count} and renormalise = true"),
                                       ("twins", "span 1 over a pair with the specialists' twins")) if not any(key[0] == kind for key in keys)]
    constants = ", ".join(f"{k} {router[k]}".removesuffix(".0") for k in ("scope", "steps", "train_on") if k in router)
    return style.finish(figure, describe(differences, degrees), "Routers also adapt to the target's text, which degree 0 shows alone: there all experts of a block are "
                        f"the base's. Router: {constants}. Above: bars are 95 % intervals of the paired difference to the base; below, of the difference named "
                        f"(Student's t; {style.sample_sizes(used)})." + (f" Not in the store: {'; '.join(lacking)}." if lacking else ""))


def describe(differences, degrees):
    """The comparisons at equal FLOPs, or where there are none that at more, for the largest span; at the last degree and at 0."""
    last, told = degrees[-1], {}
    for kind, what, beside in (("top", "span {} keeping as many experts", "span 1"), ("twins", "span {}", "as many experts of one block"), ("dense", "span {}", "span 1")):
        keys = [key for key in differences[last] if key[0] == kind]
        if keys and (kind != "dense" or not told):
            told[kind] = (max(keys), what, beside)
    if not told:
        return "Routing over several blocks"
    text = f"At degree {last} with {'more' if 'dense' in told else 'equal'} FLOPs " + ", and ".join(
        f"{what.format(key[1])} is {style.change(differences[last][key][3])} {beside}" for key, what, beside in told.values())
    at_0 = [f"{style.change(differences[0][key][3])} {beside}" for key, _, beside in told.values() if last and key in differences.get(0, {})]
    return text + (f"; at degree 0 {', and '.join(at_0)}" if at_0 else "")
