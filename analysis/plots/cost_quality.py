"""The cost-quality frontier at the last degree: test loss of every setting against its FLOPs per token and the parameters to store."""
from sweep import Missing, difference

from . import style

NAME = "cost_quality"
COSTS = {"flops_per_token": "FLOPs per token, as a multiple of the base's", "parameters_stored": "parameters stored, as a multiple of the base's"}
REFERENCES = {"base": dict(marker="h", color="0.35"), "specialist": dict(marker="v", color="0.5"), **style.REFERENCE_STYLES}
REFERENCE_WORDS = {"base": "base", "specialist": "a member alone", **style.REFERENCE_WORDS}


def frontier(points):
    """Of [(cost, select loss, entry)] those that no other beats in one without being behind in the other; by rising cost."""
    kept, lowest = [], float("inf")
    for cost, loss, entry in sorted(points, key=lambda p: p[:2]):
        if loss < lowest:
            kept.append((cost, loss, entry))
            lowest = loss
    return kept


def candidates(sweep, pair, target, degree):
    """family or reference method -> entries, all with as many seeds as the most have (or drawn without any)."""
    groups = {family: sweep.entries(sweep.select(pair, target, degree, family=family)) for family in style.FAMILY_STYLES}
    groups["base"] = [sweep.base(target)]
    groups["specialist"] = [sweep.specialist(member, degree, target) for member in sweep.members(pair)]
    for method in style.REFERENCE_STYLES:
        entry = sweep.reference(method, pair, target, degree)
        groups[method] = [entry] if entry else []
    most = max(len(e.rows) for entries in groups.values() for e in entries)
    return {name: kept for name, entries in groups.items() if (kept := [e for e in entries if len(e.rows) == most])}


def draw(sweep, pair, target):
    degree, base = max(sweep.degrees(pair, target), default=None), sweep.base(target)
    if degree is None:
        raise Missing("combinations of members alike in degree")
    groups = candidates(sweep, pair, target, degree)
    if not set(groups) & set(style.FAMILY_STYLES):
        raise Missing(f"merges at degree {degree}")
    figure, axes, room = style.new_figure(1, len(COSTS), 8.6, 4.6, legend_lines=2)
    used, fronts = [], {}
    for axis, (cost, label) in zip(axes[0], COSTS.items()):
        points = [(float(e[cost]) / float(base[cost]), e.loss_select, e) for name, entries in groups.items() if name not in style.REFERENCE_STYLES for e in entries]
        fronts[cost] = frontier(points)
        chosen = {id(entry) for _, _, entry in fronts[cost]} | {id(e) for name in style.REFERENCE_STYLES for e in groups.get(name, [])}
        for name, entries in groups.items():
            look = {**(style.FAMILY_STYLES.get(name) or REFERENCES[name]), "linestyle": ""}
            label_of = style.FAMILY_WORDS.get(name) or REFERENCE_WORDS[name]
            for solid in (False, True):
                own = [e for e in entries if (id(e) in chosen) == solid]
                places, losses = [float(e[cost]) / float(base[cost]) for e in own], [e.loss for e in own]
                if not solid:
                    axis.plot(places, losses, markerfacecolor="white", alpha=0.7, label=label_of, **look)
                elif own:
                    intervals = [difference(e, base) for e in own]
                    used += intervals
                    style.line_with_intervals(axis, places, losses, intervals, zorder=4, **look)
        axis.plot([c for c, _, _ in fronts[cost]], [e.loss for _, _, e in fronts[cost]], color="0.2", linewidth=1, drawstyle="steps-post",
                  label="frontier, by select", zorder=1)
        if max(p[0] for p in points) > 8:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")  # the usual one writes formulas
            axis.xaxis.set_minor_formatter("")
        axis.set_xlabel(label)
    axes[0][0].set_ylabel(f"loss on {target} (nat per token)")
    style.legend_below(room, axes[0][0], 4)
    return style.finish(figure, describe(fronts["flops_per_token"], groups, degree), f"All settings at degree {degree}. Filled: on the frontier, chosen by loss on the "
                        "select split; drawn at their loss on test, where the steps need not fall. The base fine-tuned on more text combines nothing and stands beside it. Bars: 95 % intervals of the paired difference to the base "
                        f"(Student's t; {style.sample_sizes(used)}). Training the specialists and routers costs extra and is not counted.")


def name_of(entry):
    """"route (span 2)", "average (alpha 0.5)"."""
    told = [f"{p.replace('_', ' ')} {entry[p]:g}" for p in ("alpha", "span") if p in entry.rows and entry[p] == entry[p] and entry[p] is not None]
    if "top_k" in entry.rows and isinstance(entry["top_k"], (int, float)) and entry["top_k"] == entry["top_k"]:
        told.append(f"top {entry['top_k']:g}")
    if entry["method"] == "specialist":
        return f"{entry['member_1']} alone"
    return entry["method"] + (f" ({', '.join(told)})" if told else "")


def describe(front, groups, degree):
    steps = [f"{name_of(entry)} at {cost:.2g} x the base's FLOPs" for cost, _, entry in (front if len(front) <= 3 else [front[0], front[-1]])]
    text = f"On the frontier at degree {degree}: " + ("from " + " to ".join(steps) if len(front) > 3 else "; ".join(steps))
    if len(front) > 1:
        last, first = front[-1][2], front[0][2]
        text += f"; the dearest is {style.change(difference(last, first))} the cheapest"
    for tuned in groups.get("finetune_target", []):
        text += f"{' and' if len(front) > 1 else ','} {style.change(difference(front[-1][2], tuned))} the base fine-tuned on the target"
    return text
