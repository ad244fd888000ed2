"""The linear-mode-connectivity barrier against degree: how far the interpolated parameters' loss rises above the chord between the
parents' losses (Frankle et al. 2020, arXiv:1912.05671; Entezari et al. 2022, arXiv:2110.06296, the form with the chord), before
and after the members' units were matched (`rebasin`; Ainsworth et al. 2023, arXiv:2209.04836)."""
from sweep import Missing, best, contrast, first_weight, interpolations

from . import style
from .loss_against_alpha import one_curve

NAME = "barrier_against_degree"
LOOKS = {"average": dict(color="#0072B2", marker="o", linestyle="-", label="parameters averaged as they are"),
         "rebasin": dict(color="#D55E00", marker="s", linestyle="--", label="after matching units (rebasin)")}


def height(entry, first, second):
    """Test loss of the interpolated model minus the chord's height at its weight: the parents' losses, mixed alike."""
    share = float(first_weight(entry.rows).iloc[0])
    return contrast([(1, entry), (-share, first), (share - 1, second)])


def barriers(sweep, pair, target, method):
    """degree -> (Interval of the barrier, weight of the first member there). The weight is the one where the rise is highest on
    the select split; the height is that of test, so that the maximum is not taken over noise."""
    members, found = sweep.members(pair), {}
    for degree in sweep.degrees(pair, target):
        rows = interpolations(sweep, pair, target, degree, method)
        if rows.empty:
            continue
        try:
            first, second = (sweep.specialist(m, degree, target) for m in members)
        except Missing:
            continue
        entries = sweep.entries(one_curve(rows, sweep))
        most = max(len(e.rows) for e in entries)
        shares = {float(first_weight(e.rows).iloc[0]): e for e in entries if len(e.rows) == most}
        top = max(shares, key=lambda s: shares[s].loss_select - s * first.loss_select - (1 - s) * second.loss_select)
        found[degree] = (height(shares[top], first, second), top)
    return found


def draw(sweep, pair, target):
    members = sweep.members(pair)
    if len(members) != 2:
        raise Missing("a pair of two members (a chord)")
    lines = {method: found for method in LOOKS if (found := barriers(sweep, pair, target, method))}
    if not lines:
        raise Missing("average or rebasin with an alpha between 0 and 1, and the parents alone")
    degrees = sorted({d for found in lines.values() for d in found})
    figure, axes, room = style.new_figure(1, 1, 6.4, 4.2, legend_lines=1)
    axis = axes[0][0]
    for step, (method, found) in enumerate(lines.items()):
        intervals = [interval for interval, _ in found.values()]
        style.line_with_intervals(axis, style.nudged(list(found), step), [i.mean for i in intervals], intervals, **LOOKS[method])
    axis.axhline(0, label="the chord between the parents", **style.BASE)
    style.degree_axis(axis, degrees)
    axis.set_ylabel(f"barrier on {target} (nat per token)")
    style.legend_below(room, axis, 3)
    used = [interval for found in lines.values() for interval, _ in found.values()]
    rows = interpolations(sweep, pair, target, method=next(iter(lines)))
    shares = sorted(set(first_weight(rows).round(6)))
    lacking = "" if len(lines) == 2 else f" No {' or '.join(m for m in LOOKS if m not in lines)} in the store."
    return style.finish(figure, describe(lines, sweep, pair, target), f"Highest point above the chord between {members[0]} and {members[1]} at weights "
                        f"{', '.join(f'{s:g}' for s in shares)} of {members[0]} (the ends, 0 by definition, left out: below zero every mixture is better than the "
                        f"chord). Which weight: by select; height: test. Bars: 95 % intervals (Student's t; {style.sample_sizes(used)}).{lacking}")


def describe(lines, sweep, pair, target):
    method, found = next(iter(lines.items()))
    last = max(found)
    barrier = found[last][0]
    word = "a barrier of" if barrier.above_zero else "no barrier:" if barrier.below_zero else "no certain barrier:"
    text = f"Between the parents at degree {last}, {LOOKS[method]['label']}: {word} {style.change(barrier, 'below', 'above')} the chord"
    if len(lines) == 2 and last in lines["rebasin"]:
        at = {m: best_at(sweep, pair, target, last, m, lines[m][last][1]) for m in lines}
        first, second = (sweep.specialist(m, last, target) for m in sweep.members(pair))
        shares = {m: lines[m][last][1] for m in lines}
        moved = contrast([(1, at["rebasin"]), (-shares["rebasin"], first), (shares["rebasin"] - 1, second),
                          (-1, at["average"]), (shares["average"], first), (1 - shares["average"], second)])
        text += f"; matching makes it {style.change(moved, 'lower', 'higher')}"
    return text


def best_at(sweep, pair, target, degree, method, share):
    rows = one_curve(interpolations(sweep, pair, target, degree, method), sweep)
    return best(sweep.entries(rows[(first_weight(rows) - share).abs() < 1e-9]))
