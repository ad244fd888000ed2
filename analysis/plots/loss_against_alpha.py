"""Loss of interpolated models against the first member's weight, one line a degree; the ends are the specialists alone."""
import numpy as np

from sweep import Missing, best, difference, first_weight, interpolations

from . import style

NAME = "loss_against_alpha"
METHODS = {"interpolate_features": "MLP outputs interpolated", "average": "parameters averaged", "slerp": "parameters, spherically"}


def draw(sweep, pair, target):
    members = sweep.members(pair)
    if len(members) != 2:
        raise Missing("a pair of two members (a weight alpha)")
    methods = [m for m in METHODS if len(interpolations(sweep, pair, target, method=m))]
    if not methods:
        raise Missing("interpolate_features or average with an alpha between 0 and 1")
    degrees = sweep.degrees(pair, target)
    base = sweep.base(target)
    every, degrees = degrees, shown_degrees(sweep, pair, target, methods[0], degrees)
    styles = style.degree_styles(degrees)
    figure, axes, room = style.new_figure(1, len(methods), max(6.4, 3.6 * len(methods)), 4.3, legend_lines=2)
    used, optimum = [], {}
    for degree in every:
        if entries := sweep.entries(one_curve(interpolations(sweep, pair, target, degree, methods[0]), sweep)):
            optimum[degree] = best(entries)
    for axis, method in zip(axes[0], methods):
        for degree in degrees:
            rows = interpolations(sweep, pair, target, degree, method)
            rows = one_curve(rows, sweep)
            entries = {float(first_weight(e.rows).iloc[0]): e for e in sweep.entries(rows)}
            if not entries:
                continue  # nothing mixed this way: the ends alone would draw a chord
            try:
                entries[0.0] = sweep.specialist(members[1], degree, target)
                entries[1.0] = sweep.specialist(members[0], degree, target)
            except Missing:
                pass
            shares = sorted(entries)
            intervals = [difference(entries[s], base) for s in shares]
            used += intervals
            places = {s: s + min(0.008, 0.04 / len(degrees)) * (degrees.index(degree) - (len(degrees) - 1) / 2) for s in shares}  # side by side
            style.line_with_intervals(axis, list(places.values()), [entries[s].loss for s in shares], intervals, label=f"degree {degree}", **styles[degree])
            ends = [s for s in shares if s in (0.0, 1.0)]
            axis.plot([places[s] for s in ends], [entries[s].loss for s in ends], linestyle="", marker=styles[degree]["marker"], markerfacecolor="white",
                      markeredgecolor=styles[degree]["color"], zorder=5)
        axis.axhline(base.loss, label="base", **style.BASE)
        axis.set_title(METHODS[method])
        axis.set_xlabel(f"weight of {members[0]}")
    axes[0][0].set_ylabel(f"loss on {target} (nat per token)")
    low, high = min(a.get_ylim()[0] for a in axes[0]), max(a.get_ylim()[1] for a in axes[0])
    for axis in axes[0]:
        axis.set_ylim(low, high)
    there = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels())}
    labels = ["base", *(label for d in degrees if (label := f"degree {d}") in there)]
    style.legend_below(room, None, 6, ([there[label] for label in labels], labels))
    return style.finish(figure, describe(methods[0], optimum, base), f"Hollow: the specialists alone, {members[1]} at weight 0 and {members[0]} at 1. Bars: 95 % intervals of the paired "
                        f"difference to the base (Student's t; {style.sample_sizes(used)}). Points of one weight stand side by side. Test split."
                        + (f" Degrees shown: {len(degrees)} of {len(every)}." if len(degrees) < len(every) else ""))


def shown_degrees(sweep, pair, target, method, degrees, most=7):
    """As many degrees as can be told apart: those with the most weights, and others spread between."""
    if len(degrees) <= most:
        return degrees
    weights = {d: interpolations(sweep, pair, target, d, method)["weight_1"].nunique() for d in degrees}
    full = style.spread([d for d in degrees if weights[d] == max(weights.values())], most)
    others = [d for d in degrees if d not in full]
    return sorted(full + (style.spread(others, most - len(full)) if most > len(full) else []))


def one_curve(rows, sweep):
    """The rows that differ in weight alone: of each other parameter (site, matching, …) the value with the most weights, or the
    first of several."""
    for parameter in sweep.experiments.attrs["parameters"]:
        if parameter not in ("alpha", "weights") and rows[parameter].nunique() > 1:
            weights = rows.groupby(parameter, sort=False, observed=True)["weight_1"].nunique()
            rows = rows[rows[parameter] == weights.idxmax()]
    return rows


def describe(method, optimum, base):
    """What the best weight gains, at the degree where that is most (both chosen on select) and at the last."""
    positive = {d: e for d, e in optimum.items() if d > 0} or optimum
    peak, last = min(positive, key=lambda d: positive[d].loss_select), max(positive)
    gains = {d: difference(base, positive[d]) for d in (peak, last)}
    text = f"{style.capital(METHODS[method])}: best at degree {peak}" + (", the last one run" if peak == last and len(positive) > 1 else "")
    text += f", {style.change(gains[peak], 'lost to', 'gained over')} the base"
    return text + (f"; {style.change(gains[last], 'lost', 'gained')} at degree {last}" if last != peak else "")
