"""Retention: how well merges still predict each specialist's own text, against degree."""
from sweep import Missing, at_every_degree, best, difference

from . import style

NAME = "retention_against_degree"


def own_texts(sweep, pair):
    """member -> its own corpus, where that is a target on which the pair's merges were judged."""
    targets = {target for p, target in sweep.cases() if p == pair}
    return {member: corpus for member in sweep.members(pair) if "#" not in member and (corpus := sweep.own_corpus(member)) in targets}


def kept_settings(sweep, pair, corpora, family):
    """Rows of a family's settings that were run on all these corpora, without those that learned from the target's, or one of these
    corpora's, training text: on a specialist's own corpus that would be more specialising, not combining. Learning from all members'
    text in equal parts is combining."""
    rows = sweep.select(pair, corpora[0], family=family)
    for corpus in corpora[1:]:
        others = sweep.select(pair, corpus, family=family)
        rows = rows[rows["setting"].isin(others["setting"])]
    if "train_on" in rows:
        rows = rows[~(rows["train_on"].isin(["target", *corpora]) & (rows["target_tokens"] > 0).fillna(False).astype(bool))]
    return rows


def best_of_families(sweep, pair, corpora, degrees):
    """family -> degree -> [entry on each corpus]: one setting for all corpora, with the lowest mean select loss over them."""
    found = {}
    for family in style.FAMILY_STYLES:
        rows = at_every_degree(kept_settings(sweep, pair, corpora, family), degrees)
        for degree in degrees:
            candidates = []
            for entry in sweep.entries(rows[(rows["degree"] == degree).fillna(False).astype(bool)]):
                on_all = [best(same) for corpus in corpora if (same := sweep.entries(sweep.select(
                    pair, corpus, degree, method=entry["method"], setting=entry["setting"], layer=entry["layer"])))]
                if len(on_all) == len(corpora):
                    candidates.append(on_all)
            if candidates:
                most = max(min(len(e.rows) for e in entries) for entries in candidates)
                found.setdefault(family, {})[degree] = min((c for c in candidates if min(len(e.rows) for e in c) == most),
                                                           key=lambda entries: sum(e.loss_select for e in entries))
    return found


def draw(sweep, pair):
    texts = own_texts(sweep, pair)
    if not texts:
        raise Missing("merges judged on a specialist's own corpus ([grid] targets with the specialists' corpora, which need a holdout)")
    corpora = list(texts.values())
    degrees = sorted({d for corpus in corpora for d in sweep.degrees(pair, corpus)})
    lines = best_of_families(sweep, pair, corpora, degrees)
    if not lines:
        raise Missing("merges judged on a specialist's own corpus that did not learn from that corpus' training text")
    figure, axes, room = style.new_figure(1, len(corpora), max(6.8, 3.6 * len(corpora)), 4.4, legend_lines=2)
    used, words = [], []
    for place, (axis, (member, corpus)) in enumerate(zip(axes[0], texts.items())):
        base = sweep.base(corpus)
        for step, (family, entries) in enumerate(lines.items()):
            own = {d: e[place] for d, e in entries.items()}
            intervals = [difference(e, base) for e in own.values()]
            used += intervals
            style.line_with_intervals(axis, style.nudged(list(own), step), [e.loss for e in own.values()], intervals, label=style.FAMILY_WORDS[family],
                                      **style.FAMILY_STYLES[family])
        used += style.alone_lines(axis, sweep, corpus, sweep.members(pair), degrees, base)
        style.degree_axis(axis, degrees)
        axis.set_title(f"on {corpus}, {member}'s own text")
        axis.set_ylabel(f"loss on {corpus} (nat per token)" if place == 0 else "")
        last = {family: entries[degrees[-1]] for family, entries in lines.items() if degrees[-1] in entries}
        if last:
            family = min(last, key=lambda f: sum(e.loss_select for e in last[f]))
            words.append(f"{style.change(difference(last[family][place], sweep.specialist(member, degrees[-1], corpus)))} {member} alone on {corpus}")
    style.legend_below(room, axes[0][0], 4)
    title = f"Merged by {style.FAMILY_WORDS[family]} at degree {degrees[-1]}: " + "; ".join(words) if words else "Loss on the specialists' own text"
    lacking = [m for m in sweep.members(pair) if m not in texts and "#" not in m]
    return style.finish(figure, title, "One setting for all of these texts, the one with the lowest mean select loss over them; losses are on test. Left out: what "
                        "learned from the target's own training text, which here would be the specialist's. Bars: 95 % intervals of the paired difference to the "
                        f"base (Student's t; {style.sample_sizes(used)}). Points of one degree stand side by side. Whose text is whose: by the config, else by name."
                        + (f" Not a target in the store: the text of {', '.join(lacking)}." if lacking else ""))
