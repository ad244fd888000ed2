"""The best interpolation at each degree, with the parents and the base: does specialising first help and then hurt?"""
from sweep import Missing, best, difference, interpolations

from . import style
from .loss_against_alpha import METHODS

NAME = "best_interpolation_against_degree"
LOOKS = [dict(color="#D55E00", marker="s", linestyle="--"), dict(color="#0072B2", marker="o", linestyle="-"),
         dict(color="#7B3F7D", marker="D", linestyle=":")]


def draw(sweep, pair, target):
    members, degrees, base = sweep.members(pair), sweep.degrees(pair, target), sweep.base(target)
    if len(degrees) < 2:
        raise Missing("two degrees or more")
    figure, axes, room = style.new_figure(1, 1, 6.4, 4.4, legend_lines=2)
    axis, used, lines = axes[0][0], [], {}
    for step, (method, look) in enumerate(zip(METHODS, LOOKS)):
        entries = {}
        for degree in degrees:
            candidates = sweep.entries(interpolations(sweep, pair, target, degree, method))
            if candidates:
                entries[degree] = best(candidates)
        if entries:
            lines[method] = entries
            intervals = [difference(e, base) for e in entries.values()]
            used += intervals
            style.line_with_intervals(axis, style.nudged(list(entries), step), [e.loss for e in entries.values()], intervals, label=METHODS[method], **look)
    if not lines:
        raise Missing("interpolate_features or average with an alpha between 0 and 1")
    used += style.alone_lines(axis, sweep, target, members, degrees, base)
    style.degree_axis(axis, degrees)
    axis.set_ylabel(f"loss on {target} (nat per token)")
    style.legend_below(room, axis, 3)
    method, entries = next(iter(lines.items()))
    positive = {d: e for d, e in entries.items() if d > 0}
    peak, last = min(positive, key=lambda d: positive[d].loss_select), max(positive)
    change = difference(positive[last], positive[peak])
    title = f"{style.capital(METHODS[method])}, best weight: lowest at degree {peak}"
    title += ", the last one run" if peak == last else f", at degree {last} {style.change(change, 'lower', 'higher')}"
    title += f"; there {style.change(difference(positive[last], base))} the base"
    return style.finish(figure, title, "The weight is chosen on the select split, the loss is on test. Bars: 95 % intervals of the paired "
                        f"difference to the base (Student's t; {style.sample_sizes(used)}). Points of one degree stand side by side.")
