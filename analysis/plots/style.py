"""How all figures look: Okabe and Ito's colours with a marker and a dash each, a lightness scale for degrees, so that they can
be read in grey and by the colour-blind; and the parts that many figures share."""
from __future__ import annotations

import itertools
import textwrap

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from intervals import RESOLUTION
from sweep import Missing, difference

SETTINGS = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "figure.titlesize": 11,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "0.9", "grid.linewidth": 0.6,
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.4, "lines.markersize": 5, "svg.hashsalt": "cmsweep",
    "text.parse_math": False,  # names may hold a $
}
FAMILY_STYLES = {
    "parameter": dict(color="#0072B2", marker="o", linestyle="-"),
    "activation": dict(color="#D55E00", marker="s", linestyle="--"),
    "routing": dict(color="#009E73", marker="^", linestyle="-."),
    "output": dict(color="#7B3F7D", marker="D", linestyle=":"),
}
FAMILY_WORDS = {"parameter": "parameters", "activation": "features", "routing": "routing", "output": "outputs"}
REFERENCE_STYLES = {
    "finetune_target": dict(color="#56B4E9", marker="*", linestyle=(0, (5, 1))),
    "joint": dict(color="#E69F00", marker="X", linestyle=(0, (5, 1, 1, 1))),
}
REFERENCE_WORDS = {"finetune_target": "base fine-tuned on the target", "joint": "base fine-tuned on all members' text"}
BASE = dict(color="0.35", linestyle=(0, (6, 3)), linewidth=1.0)
MARKERS = "os^DvPX*<>"
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]
NAMES_OF_METRICS = {"cka_debiased": "debiased CKA", "cka_linear": "linear CKA (biased)"}


def metric_name(metric):
    return NAMES_OF_METRICS.get(metric, metric)


def capital(text):
    return text[:1].upper() + text[1:]


def apart(first, second, digits=3):
    """Two numbers with as many digits as it takes to tell them apart (six at most)."""
    while digits < 6 and round(first, digits) == round(second, digits):
        digits += 1
    return f"{first:.{digits}f}", f"{second:.{digits}f}"


def change(interval, below="below", above="above", unit="nat", digits=3):
    """"0.030 nat below"; with doubt where the interval contains zero: "0.030 nat (not certainly) below"."""
    if not interval.n:
        return "not measured"
    if abs(interval.mean) < RESOLUTION:
        return f"0 {unit} {below}".replace("  ", " ")
    while digits < 6 and round(abs(interval.mean), digits) == 0:
        digits += 1
    doubt = "" if interval.above_zero or interval.below_zero else " (not certainly)"
    return f"{abs(interval.mean):.{digits}f}{' ' + unit if unit else ''}{doubt} {below if interval.mean < 0 else above}"


def new_figure(rows, columns, width, height, legend_lines=0):
    """A figure, its axes (rows x columns), and below them room for a legend of that many lines (None without)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    panel = (height - 0.7 - 0.2 * legend_lines) / rows
    grid = figure.add_gridspec(rows + bool(legend_lines), columns, height_ratios=[panel] * rows + [0.2 * legend_lines] * bool(legend_lines))
    axes = np.array([[figure.add_subplot(grid[r, c]) for c in range(columns)] for r in range(rows)], dtype=object)
    room = figure.add_subplot(grid[rows, :]) if legend_lines else None
    if room is not None:
        room.axis("off")
    return figure, axes, room


def legend_below(room, axis, columns, legend=None):
    """The axis' legend (or these handles and labels) in the room below, in as many columns as fit (at most `columns`); the room
    grows with its lines."""
    handles, labels = legend or axis.get_legend_handles_labels()
    width, height = room.figure.get_size_inches()

    def needed(columns):  # inches, at some 0.06 a letter; a legend fills its columns one after the other
        lines = -(-len(labels) // columns)
        return sum(0.65 + 0.06 * max(map(len, labels[i:i + lines])) for i in range(0, len(labels), lines))

    columns = max((c for c in range(1, columns + 1) if needed(c) <= width - 0.4), default=1)
    lines = -(-len(labels) // columns)
    columns = -(-len(labels) // lines)
    grid = room.get_subplotspec().get_gridspec()
    rows = grid.nrows - 1
    grid.set_height_ratios([(height - 0.7 - 0.2 * lines) / rows] * rows + [0.2 * lines])
    across = blended_transform_factory(room.figure.transFigure, room.transAxes)  # the axes may begin far from the left
    drawn = room.legend(handles, labels, loc="center left", bbox_to_anchor=(0.3 / width, 0.5), bbox_transform=across, ncols=columns, borderaxespad=0,
                        handlelength=3)
    drawn.set_in_layout(False)


def degree_styles(degrees):
    """Degree -> line style: from light (little specialised) to dark, with a marker and a dash of its own."""
    shades = matplotlib.colormaps["cividis"](np.linspace(0.85, 0.0, len(degrees)) if len(degrees) > 1 else [0.0])
    return {degree: dict(color=shades[i], marker=MARKERS[i % len(MARKERS)], linestyle=DASHES[i % len(DASHES)])
            for i, degree in enumerate(degrees)}


def spread(items, most):
    """At most so many of the items, evenly, with the first and the last."""
    items = list(items)
    return items if len(items) <= most else [items[i] for i in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]


def degree_axis(axis, degrees, label="degree (fine-tuning steps)", most=7):
    """A logarithmic axis that has room for degree 0, ticked at the degrees that were run, as far as `most` ticks side by side allow."""
    positive = [d for d in degrees if d > 0]
    if positive and (0 in degrees or len(positive) > 2):
        axis.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        axis.set_xlim(-0.2 * min(positive) if 0 in degrees else 0.8 * min(positive), max(1.2 * max(positive), 1.08 * axis.dataLim.x1))
    places = dict(zip(degrees, axis.xaxis.get_transform().transform(np.array(degrees, dtype=float))))
    apart, shown = (places[degrees[-1]] - places[degrees[0]]) / most, [degrees[-1]]
    for degree in [degrees[0], *reversed(degrees[1:-1])]:  # the ends first, then downwards
        if degree not in shown and all(abs(places[degree] - places[other]) >= apart for other in shown):
            shown.append(degree)
    shown.sort()
    axis.xaxis.set_major_locator(FixedLocator(shown))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{d:g}" for d in shown])
    axis.set_xlabel(label)


def nudged(degrees, step):
    """The degrees moved a little, so that lines at the same degree do not hide each other."""
    positive = [d for d in degrees if d > 0]
    return [d * 1.04 ** step if d > 0 else 0.04 * step * min(positive, default=1) for d in degrees]


def similarity_axis(axis, nearest, lowest):
    """Linear from 0 to 1 where values spread; where all lie close to 1, logarithmic in the distance from 1, so that the null
    near 0 and differences near 1 can be seen together. `nearest`: smallest distance from 1 to be seen; `lowest`: y limit."""
    if nearest is None:
        axis.set_ylim(min(-0.02, lowest), 1.04)
        return
    digits = min(6, int(np.ceil(-np.log10(nearest))))
    smallest = 10.0 ** -digits

    def distance(value):  # linear below `smallest`, so that 1 itself has a place
        d = 1 - np.asarray(value, float)
        return np.where(d < smallest, d / smallest, 1 + np.log10(np.maximum(d, smallest) / smallest))

    def value(place):
        place = np.asarray(place, float)
        return 1 - np.where(place < 1, place * smallest, smallest * 10 ** (np.maximum(place, 1) - 1))

    axis.set_yscale("function", functions=(lambda v: -distance(v), lambda p: value(-p)))
    ticks = [1 - 10.0 ** -k for k in range(digits + 1)] + [1.0]
    axis.yaxis.set_major_locator(FixedLocator(ticks))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_yticklabels([f"{t:.{digits}f}".rstrip("0").rstrip(".") for t in ticks])
    axis.set_ylim(min(-0.25, lowest), 1 + smallest / 2)  # room for the null near 0


def line_with_intervals(axis, x, y, intervals, label=None, **style):
    """A line through y with each point's interval, given as an interval of the point's difference to something fixed."""
    below = [i.mean - i.low if np.isfinite(i.low) else 0 for i in intervals]
    above = [i.high - i.mean if np.isfinite(i.high) else 0 for i in intervals]
    axis.errorbar(x, y, yerr=[below, above], capsize=2.5, elinewidth=1, label=label, **style)


def alone_lines(axis, sweep, target, members, degrees, base):
    """The base as a level and each member alone as a grey line, where the store has it; returns the intervals drawn."""
    used = []
    looks = itertools.cycle((("v", (0, (3, 1, 1, 1))), ("P", (0, (1, 1))), ("<", "-."), (">", ":")))
    for step, (member, (marker, dash)) in enumerate(zip(members, looks)):
        entries = {}
        for degree in degrees:
            try:
                entries[degree] = sweep.specialist(member, degree, target)
            except Missing:
                pass
        intervals = [difference(e, base) for e in entries.values()]
        used += intervals
        if entries:
            line_with_intervals(axis, nudged(list(entries), -1 - step), [e.loss for e in entries.values()], intervals, label=f"{member} alone", color="0.5",
                                marker=marker, linestyle=dash)
    axis.axhline(base.loss, label="base", **BASE)
    return used


def range_text(counts):
    """"3" or "2 to 3"."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def sample_sizes(intervals):
    """"3 seeds, or 64 text blocks where seeds do not vary" for the caption."""
    sizes = {}
    for interval in intervals:
        if interval.n:
            sizes.setdefault(interval.over, set()).add(interval.n)
    words = {over: " or ".join(str(n) for n in sorted(ns)) + " " + over for over, ns in sizes.items()}
    if not words:
        return "none"
    if "seeds" in words and "text blocks" in words:
        return f"n = {words['seeds']}; {words['text blocks']} where seeds do not vary"
    return "n = " + "; ".join(words.values())


def finish(figure, title, caption):
    """What is seen, above; how it was made, below."""
    width = figure.get_size_inches()[0]
    figure.suptitle("\n".join(textwrap.wrap(title, int(width * 11.5), break_on_hyphens=False)), x=0.01, ha="left", fontweight="bold", fontsize=10)
    figure.supxlabel("\n".join(textwrap.wrap(caption, int(width * 17), break_on_hyphens=False)), x=0.01, ha="left", fontsize=7.5, color="0.3")
    figure.words = title, caption
    return figure


def take_words(figure):
    """(title, caption) of a finished figure, taken off it: for a page that sets them as text of its own."""
    width, height = figure.get_size_inches()
    for drawn, size in ((figure._suptitle, 0.17), (figure._supxlabel, 0.13)):
        height -= size * len(drawn.get_text().splitlines())
        drawn.set_visible(False)
        drawn.set_in_layout(False)
    figure.set_size_inches(width, height)
    return figure.words
