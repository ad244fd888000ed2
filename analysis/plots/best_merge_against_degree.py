"""The best merge of every family against degree, with the parents, the base, and what training instead of combining would give."""
from sweep import Missing, at_every_degree, best, difference

from . import style

NAME = "best_merge_against_degree"


def best_of_families(sweep, pair, target, degrees):
    """family -> degree -> best entry, chosen on select among the settings that were run at every degree (or at the most)."""
    found = {}
    for family in style.FAMILY_STYLES:
        rows = at_every_degree(sweep.select(pair, target, family=family), degrees)
        if len(rows):
            found[family] = {d: best(sweep.entries(own)) for d in degrees if len(own := rows[(rows["degree"] == d).fillna(False).astype(bool)])}
    return found


def draw(sweep, pair, target):
    members, degrees, base = sweep.members(pair), sweep.degrees(pair, target), sweep.base(target)
    lines = best_of_families(sweep, pair, target, degrees)
    at_last = {family: entries[degrees[-1]] for family, entries in lines.items() if degrees[-1] in entries}
    if not at_last:
        raise Missing("a merge at the last degree")
    references = {method: {d: e for d in degrees if (e := sweep.reference(method, pair, target, d))} for method in style.REFERENCE_STYLES}
    references = {method: entries for method, entries in references.items() if entries}
    figure, axes, room = style.new_figure(1, 1, 7.2 if references else 6.4, 4.6 + 0.3 * len(references), legend_lines=3)
    axis, used = axes[0][0], []
    drawn = [(lines[family], style.FAMILY_WORDS[family], look) for family, look in style.FAMILY_STYLES.items() if family in lines]
    drawn += [(entries, style.REFERENCE_WORDS[method], style.REFERENCE_STYLES[method]) for method, entries in references.items()]
    for step, (entries, label, look) in enumerate(drawn):
        intervals = [difference(e, base) for e in entries.values()]
        used += intervals
        style.line_with_intervals(axis, style.nudged(list(entries), step), [e.loss for e in entries.values()], intervals, label=label, **look)
    used += style.alone_lines(axis, sweep, target, members, degrees, base)
    style.degree_axis(axis, degrees)
    axis.set_ylabel(f"loss on {target} (nat per token)")
    style.legend_below(room, axis, 3 if references else 4)
    winner = min(at_last, key=lambda f: at_last[f].loss_select)
    gain = difference(sweep.best_single(pair, target, degrees[-1]), at_last[winner])
    second = min((f for f in at_last if f != winner), key=lambda f: at_last[f].loss_select, default=None)
    doubt = "" if second is None or difference(at_last[winner], at_last[second]).below_zero else f" (not certainly better than {style.FAMILY_WORDS[second]})"
    title = (f"At degree {degrees[-1]} combining by {style.FAMILY_WORDS[winner]} ({at_last[winner]['method']}) does best{doubt}: "
             f"{style.change(gain, 'lost to', 'gained over')} the best single model")
    if "finetune_target" in references and degrees[-1] in references["finetune_target"]:
        tuned = difference(at_last[winner], references["finetune_target"][degrees[-1]])
        title += f", and {style.change(tuned)} the base fine-tuned on the target"
    return style.finish(figure, title, f"Settings are chosen on the select split, among those run at the most degrees; losses are on test. Gain: {gain.text(unit='nat')}. "
                        f"Bars: 95 % intervals of the paired difference to the base (Student's t; {style.sample_sizes(used)}). Points of one degree stand side "
                        "by side. " + about_references(references, sweep, pair, target))


def about_references(references, sweep, pair, target):
    """Who learned from the target's text, and which references the store lacks."""
    df = sweep.experiments
    df = df[(df["pair"] == pair) & (df["target"] == target)]
    learned = sorted(set(df.loc[(df["target_tokens"] > 0).fillna(False).astype(bool), "method"].astype(str)))
    text = f"Learned from the target's training text: {', '.join(learned)}; the others saw none of it. " if learned else ""
    lacking = [method for method in style.REFERENCE_STYLES if method not in references]
    return text + (f"Not in the store: {' and '.join(lacking)}." if lacking else "")
