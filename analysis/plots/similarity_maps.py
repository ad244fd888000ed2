"""Block x block similarity, one map a degree: across the members, and within each member (with itself at the last degree, under
another seed, or with the base, whichever the store has)."""
import numpy as np

from sweep import Missing

from . import style
from .similarity_against_degree import SITES, comparisons_of, metrics_between, place_of_reading

NAME = "similarity_maps"
WITHIN = ("self", "seeds", "base")


def has_maps(values):
    """Were blocks compared across, not only each with the same one?"""
    off_diagonal = ~np.eye(values.sizes["layer_a"], values.sizes["layer_b"], dtype=bool)
    return bool(np.isfinite(values.values[..., off_diagonal]).any())


def within(sweep, metric, member, degrees, place):
    """(words for the columns' model, {degree: blocks x blocks, mean over seeds}) of one member, or None."""
    for kind in WITHIN:
        array = comparisons_of(sweep, metric, kind, [member], place)
        if array is None:
            continue
        values = array["value"].isel(comparison=0)
        words = {"self": "", "seeds": f"{member}, other seed", "base": "the base"}[kind]
        if kind == "self":
            last = max(int(d) for d in values["degree_b"].values)
            values, words = values.sel(degree_b=last), f"{member} at degree {last}"
        values = values.mean([d for d in values.dims if d.startswith("seed")])
        if has_maps(values):
            found = {d: values.sel(degree=d).values for d in degrees if d in values["degree"].values and np.isfinite(values.sel(degree=d).values).any()}
            if found:
                return words, found
    return None


def draw(sweep, pair):
    members = sweep.members(pair)
    metric, array = next(iter(metrics_for_maps(sweep, members).items()))
    place = place_of_reading(sweep, members)
    values = array["value"].mean("seed")
    every, blocks = [int(d) for d in values["degree"].values], values.sizes["layer_a"]
    degrees = style.spread(every, 5)
    rows = [(members[0], members[1], {d: values.sel(degree=d).values for d in degrees})]
    for member in members[:2]:
        found = within(sweep, metric, member, degrees, place)
        if found:
            rows.append((member, *found))
    half = ((array["high"] - array["low"]) / 2).median().item()
    figure, axes, _ = style.new_figure(len(rows), len(degrees), max(6.4, 1.2 + 2.0 * len(degrees)), 1.0 + 2.3 * len(rows))
    low = min(0.0, min(float(np.nanmin(grid)) for _, _, maps in rows for grid in maps.values()))
    for line, (first, second, maps) in zip(axes, rows):
        for axis, degree in zip(line, degrees):
            if degree not in maps:
                axis.axis("off")
                continue
            image = axis.imshow(maps[degree], origin="lower", cmap="cividis", vmin=low, vmax=1)
            decorate(axis, maps[degree], low, blocks)
            axis.set_title(f"degree {degree}")
            axis.set_xlabel(f"block of {second}")
            axis.set_ylabel(f"block of {first}" if axis is line[0] or degrees[degrees.index(degree) - 1] not in maps else "")
    figure.colorbar(image, ax=list(axes.ravel()), shrink=0.8, label=style.metric_name(metric))
    (probe, site), lacking = place, [m for m in members[:2] if m not in [row[0] for row in rows[1:]]]
    return style.finish(figure, describe(rows[0], degrees, blocks, metric), f"First row: across the members{'; below: within each' if rows[1:] else ''}. Mean over {array.sizes['seed']} seeds; "
                        f"the 95 % intervals (jackknife over documents) have a median half-width of {half:.3f}. Probe {probe}, {SITES.get(site, site)}."
                        + (f" Degrees shown: {len(degrees)} of {len(every)}." if len(degrees) < len(every) else "")
                        + (f" No maps within {' and '.join(lacking)} in the store ([similarity] against = \"self\", \"seeds\" or \"base\")." if lacking else ""))


def metrics_for_maps(sweep, members):
    arrays = {m: array for m, array in metrics_between(sweep, members).items() if has_maps(array["value"].mean("seed"))}
    if not arrays:
        raise Missing("comparisons across blocks ([similarity] layers = \"cross\")")
    return arrays


def decorate(axis, grid, low, blocks):
    axis.grid(False)
    if blocks <= 12:
        axis.set_xticks(range(blocks), labels=range(blocks))
        axis.set_yticks(range(blocks), labels=range(blocks))
    if blocks <= 6:
        for (i, j), value in np.ndenumerate(grid):
            if np.isfinite(value):
                axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="white" if (value - low) / (1 - low) < 0.5 else "black")


def describe(row, degrees, blocks, metric):
    first, second, maps = row
    same = int(np.sum(np.nanargmax(maps[degrees[-1]], axis=1) == np.arange(blocks)))
    return f"At degree {degrees[-1]} {same} of {blocks} blocks of {first} are most similar to the same block of {second} ({style.metric_name(metric)})"
