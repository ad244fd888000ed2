"""Block x block similarity of the members, one map a degree."""
import matplotlib
import numpy as np

from sweep import Missing

from . import style
from .similarity_against_degree import comparisons_of, preferred_metrics

NAME = "similarity_maps"


def draw(sweep, pair):
    data = sweep.comparisons
    members = sweep.members(pair)
    metrics = [m for m in preferred_metrics(data) if comparisons_of(sweep, m, "pair", members) is not None]
    if not metrics:
        raise Missing("comparisons between the members ([similarity] against = [\"pair\"])")
    array = comparisons_of(sweep, metrics[0], "pair", members).isel(comparison=0)
    if "degree_b" in array.dims:
        raise Missing("comparisons of members alike in degree")
    values = array["value"].mean("seed")
    off_diagonal = ~np.eye(values.sizes["layer_a"], dtype=bool)
    if not np.isfinite(values.values[:, off_diagonal]).any():
        raise Missing("comparisons across blocks ([similarity] layers = \"cross\")")
    degrees = [int(d) for d in values["degree"].values]
    blocks = values.sizes["layer_a"]
    half = ((array["high"] - array["low"]) / 2).median().item()
    figure, axes, _ = style.new_figure(1, len(degrees), max(6.4, 1.0 + 2.0 * len(degrees)), 3.3)
    low = min(0.0, float(values.min()))
    for axis, degree in zip(axes[0], degrees):
        grid = values.sel(degree=degree).values
        image = axis.imshow(grid, origin="lower", cmap="cividis", vmin=low, vmax=1)
        axis.grid(False)
        axis.set_title(f"degree {degree}")
        axis.set_xticks(range(blocks), labels=range(blocks)) if blocks <= 12 else None
        axis.set_yticks(range(blocks), labels=range(blocks)) if blocks <= 12 else None
        axis.set_xlabel(f"block of {members[1]}")
        if blocks <= 6:
            for (i, j), value in np.ndenumerate(grid):
                if np.isfinite(value):
                    axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7,
                              color="white" if (value - low) / (1 - low) < 0.5 else "black")
    axes[0][0].set_ylabel(f"block of {members[0]}")
    figure.colorbar(image, ax=list(axes[0]), shrink=0.8, label=style.metric_name(metrics[0]))
    last = values.isel(degree=-1).values
    most = np.nanargmax(last, axis=1)
    same = int(np.sum(most == np.arange(blocks)))
    title = (f"At degree {degrees[-1]} {same} of {blocks} blocks of {members[0]} are most similar to the same block of {members[1]} "
             f"({style.metric_name(metrics[0])})")
    return style.finish(figure, title, f"Mean over {array.sizes['seed']} seeds; the 95 % intervals (jackknife over documents) "
                        f"have a median half-width of {half:.3f}. Probe {data['probe'].values[0]}.")
