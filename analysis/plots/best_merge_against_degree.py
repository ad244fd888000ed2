"""The best merge of every family against degree, with the parents and the base."""
from sweep import Missing, best, difference

from . import style

NAME = "best_merge_against_degree"


def draw(sweep, pair, target):
    members, degrees, base = sweep.members(pair), sweep.degrees(pair, target), sweep.base(target)
    figure, axes, room = style.new_figure(1, 1, 6.4, 4.6, legend_lines=3)
    axis, used, at_last = axes[0][0], [], {}
    for step, (family, look) in enumerate(style.FAMILY_STYLES.items()):
        entries = {}
        for degree in degrees:
            candidates = sweep.entries(sweep.select(pair, target, degree, family=family))
            if candidates:
                entries[degree] = best(candidates)
        if not entries:
            continue
        intervals = [difference(e, base) for e in entries.values()]
        used += intervals
        style.line_with_intervals(axis, style.nudged(list(entries), step), [e.loss for e in entries.values()], intervals, label=f"{style.FAMILY_WORDS[family]}", **look)
        if degrees[-1] in entries:
            at_last[family] = entries[degrees[-1]]
    if not at_last:
        raise Missing("a merge at the last degree")
    for step, (member, marker) in enumerate(zip(members, "vPX*")):
        entries = [sweep.specialist(member, d, target) for d in degrees]
        intervals = [difference(e, base) for e in entries]
        used += intervals
        style.line_with_intervals(axis, style.nudged(degrees, -1 - step), [e.loss for e in entries], intervals, label=f"{member} alone", color="0.5",
                                  marker=marker, linestyle=(0, (1, 1)))
    axis.axhline(base.loss, label="base", **style.BASE)
    style.degree_axis(axis, degrees)
    axis.set_ylabel(f"loss on {target} (nat per token)")
    style.legend_below(room, axis, 4)
    winner = min(at_last, key=lambda f: at_last[f].loss_select)
    gain = difference(sweep.best_single(pair, target, degrees[-1]), at_last[winner])
    title = (f"At degree {degrees[-1]} combining by {style.FAMILY_WORDS[winner]} ({at_last[winner]['method']}) does best; gain over the best single model "
             f"{gain.text(unit='nat')}")
    df = sweep.select(pair, target)
    learned = sorted(set(df.loc[(df["target_tokens"] > 0).fillna(False).astype(bool), "method"].astype(str)))
    learned = f"Learned from the target's training text: {', '.join(learned)}; the others saw none of it." if learned else ""
    return style.finish(figure, title, "Settings are chosen on the select split, losses are on test. Bars: 95 % intervals of the paired difference to the "
                        f"base (Student's t; {style.sample_sizes(used)}). Points of one degree stand side by side. {learned}")
