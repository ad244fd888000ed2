"""Routing: loss against span, one line a degree, with the best interpolation and the ensemble beside."""
from sweep import Missing, best, difference, interpolations, routes_by_span

from . import style

NAME = "loss_against_span"
SHOWN = ("scope", "top_k", "steps", "train_on")


def draw(sweep, pair, target):
    rows, fixed = routes_by_span(sweep, pair, target)
    degrees, base = sweep.degrees(pair, target), sweep.base(target)
    styles, spans = style.degree_styles(degrees), sorted(int(s) for s in rows["span"].unique())
    figure, axes, room = style.new_figure(1, 1, 7.0, 4.6, legend_lines=1 + len(degrees) // 5)
    axis, used, title = axes[0][0], [], ""
    others_at = {d: {"best interpolation": sweep.entries(interpolations(sweep, pair, target, d)),
                     "ensemble": sweep.entries(sweep.select(pair, target, d, method="ensemble_probabilities"))} for d in degrees}
    beside = [name for name in ("best interpolation", "ensemble") if any(others[name] for others in others_at.values())]
    for degree in degrees:
        others = {name: others_at[degree][name] for name in beside}
        routed = {int(e["span"]): e for e in sweep.entries(rows[(rows["degree"] == degree).fillna(False).astype(bool)])}
        nudge = (degrees.index(degree) - (len(degrees) - 1) / 2) * 0.07
        look = {**styles[degree], "linestyle": ""}
        for position, candidates in enumerate(others.values()):
            if candidates:
                entry = best(candidates)
                used.append(difference(entry, base))
                style.line_with_intervals(axis, [position + nudge], [entry.loss], used[-1:], markerfacecolor="white", **look)
        if routed:
            intervals = [difference(routed[s], base) for s in sorted(routed)]
            used += intervals
            style.line_with_intervals(axis, [len(beside) + spans.index(s) + nudge for s in sorted(routed)], [routed[s].loss for s in sorted(routed)],
                                      intervals, label=f"degree {degree}", **styles[degree])
            least, most = min(routed), max(routed)
            told = []
            if others.get("best interpolation"):
                told.append(f"routing over span {least} is {style.change(difference(routed[least], best(others['best interpolation'])))} the best interpolation")
            if most > least:
                told.append(f"span {most} is {style.change(difference(routed[most], routed[least]))} span {least}")
            title = f"At degree {degree} " + "; ".join(told) if told else title
        elif any(others.values()):
            axis.plot([], [], label=f"degree {degree}", **styles[degree])
    axis.axhline(base.loss, label="base", **style.BASE)
    if beside:
        axis.axvline(len(beside) - 0.5, color="0.8", linewidth=0.8)
    axis.set_xticks(range(len(beside) + len(spans)), labels=beside + [f"routed, span {s}" for s in spans])
    axis.set_ylabel(f"loss on {target} (nat per token)")
    there = dict(zip(*reversed(axis.get_legend_handles_labels())))
    labels = ["base", *(label for d in degrees if (label := f"degree {d}") in there)]
    style.legend_below(room, None, 5, ([there[label] for label in labels], labels))
    flops = {s: float(rows.loc[rows["span"] == s, "flops_per_token"].iloc[0]) / base["flops_per_token"] for s in spans}
    cost = ", ".join(f"span {s} {flops[s]:.1f} x" for s in spans)
    constants = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in fixed.items() if k in SHOWN)
    return style.finish(figure, title or "Routing", f"Routers also adapt to the target's text: degree 0 shows how much that alone gives. FLOPs per token to the "
                        f"base's: {cost}. Router: {constants}. Bars: 95 % intervals of the paired difference to the base (Student's t; "
                        f"{style.sample_sizes(used)}).")
