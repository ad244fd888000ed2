"""CKA between the members against degree, block by block, with its null band and the same-specialist ceiling."""
import numpy as np

from intervals import Interval, mean_interval
from sweep import Missing

from . import style

NAME = "similarity_against_degree"


def preferred_metrics(data):
    """Debiased CKA first, then the biased form, then what there is; two at most."""
    there = [str(m) for m in np.unique(data["metric"].values)]
    return sorted(there, key=lambda m: (m != "cka_debiased", m != "cka_linear", m))[:2]


def comparisons_of(sweep, metric, against, pair_members):
    """The similarity array of one kind, first probe and site, or None."""
    data = sweep.comparisons
    labels = data.isel(row=(data["metric"].values == metric) & (data["against"].values == against))
    if labels.sizes["row"] == 0:
        return None
    array = sweep.similarity(metric, against, probe=labels["probe"].values[0], site=labels["site"].values[0])
    a, b = array["model_a"].values, array["model_b"].values
    keep = [(x in pair_members) and (y in pair_members or y == "base") for x, y in zip(a, b)]
    return array.isel(comparison=np.flatnonzero(keep)) if any(keep) else None


def interval_at(array, block):
    """Over seeds by Student's t of the Fisher transforms, which keeps it below 1, as the stored interval over documents does;
    that one stands where seeds do not vary."""
    values = array["value"].values[:, block, block]
    values = values[np.isfinite(values)]
    if len(values) > 1 and np.ptp(values) > 0:
        z = mean_interval(np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12)), "seeds")
        return Interval(float(np.mean(values)), float(np.tanh(z.low)), float(np.tanh(z.high)), z.n, z.over)
    if len(values) == 0:
        return Interval(np.nan, -np.inf, np.inf, 0)
    low, high = (float(np.nanmean(array[side].values[:, block, block])) for side in ("low", "high"))
    return Interval(float(values[0]), low, high, 1, "documents")


def draw(sweep, pair):
    data = sweep.comparisons
    members = sweep.members(pair)
    metrics = [m for m in preferred_metrics(data) if comparisons_of(sweep, m, "pair", members) is not None]
    if not metrics:
        raise Missing("comparisons between the members ([similarity] against = [\"pair\"])")
    blocks = int(data.sizes["layer_a"])
    shown = list(range(blocks)) if blocks <= 6 else [int(round(i)) for i in np.linspace(0, blocks - 1, 6)]
    figure, axes, room = style.new_figure(len(metrics), len(shown), max(6.8, 2.2 * len(shown)), 1.5 + 2.2 * len(metrics), legend_lines=2)
    ceiling_seen, title, per_seed = False, "", set()
    for row, metric in zip(axes, metrics):
        array = comparisons_of(sweep, metric, "pair", members).isel(comparison=0)
        if "degree_b" in array.dims:
            raise Missing("comparisons of members alike in degree")
        degrees = [int(d) for d in array["degree"].values]
        ceiling = comparisons_of(sweep, metric, "seeds", members)
        null = array[["null_mean", "null_p95"]].mean("seed")
        means = []
        pair_values = array["value"].values[..., shown, shown]
        far = 1 - pair_values[np.isfinite(pair_values) & (pair_values < 1 - 1e-5)]
        nearest = float(far.min()) / 2 if far.size and far.max() < 0.2 else None
        for axis, block in zip(row, shown):
            at = dict(layer_a=block, layer_b=block)
            low, high = null["null_mean"].isel(at).values, null["null_p95"].isel(at).values
            axis.fill_between(degrees, low, np.fmax(high, low), color="0.85", hatch="////", edgecolor="0.65", linewidth=0,
                              label="null: mean to 95th percentile of permuted windows")
            axis.plot(degrees, low, color="0.5", linewidth=0.8)
            if ceiling is not None:
                ceiling_seen = True
                for i, dash in zip(range(ceiling.sizes["comparison"]), ("--", ":", "-.")):
                    own = ceiling.isel(comparison=i)
                    values = own["value"].isel(at).stack(pairs=("seed", "seed_b"))
                    middle = values.mean("pairs").values
                    axis.plot(own["degree"].values, middle, color="#E69F00", linestyle=dash, marker="+",
                              label=f"ceiling: {own['model_a'].item()} under two seeds")
                    axis.fill_between(own["degree"].values, values.min("pairs").values, values.max("pairs").values,
                                      color="#E69F00", alpha=0.25, linewidth=0)
            intervals = [interval_at(array.isel(degree=i), block) for i in range(len(degrees))]
            per_seed |= {i.n for i in intervals if i.over == "seeds"}
            style.line_with_intervals(axis, degrees, [i.mean for i in intervals], intervals, color="#0072B2", marker="o",
                                      label=" and ".join(members[:2]))
            means.append([i.mean for i in intervals])
            axis.set_title(f"block {block}")
            style.degree_axis(axis, degrees, label="degree (steps)" if metric == metrics[-1] else "")
            style.similarity_axis(axis, nearest, float(np.nanmin(low)) - 0.02)
        row[0].set_ylabel(style.metric_name(metric))
        if metric == metrics[0]:
            title = describe(metric, members, degrees, np.array(means), array["value"].values[..., shown, shown])
    style.legend_below(room, axes[0][0], 2)
    n = f"Student's t over n = {' or '.join(map(str, sorted(per_seed)))} seeds" if per_seed else "stored jackknife over documents"
    caption = (f"Bars: 95 % interval, {n}; where seeds do not vary (degree 0), jackknife over documents. "
               + ("Ceiling: mean and range over pairs of seeds. " if ceiling_seen else "No ceiling: the store has no comparisons of a "
                  "specialist with itself under another seed. ")
               + f"Probe {data['probe'].values[0]}, {data['site'].values[0]} stream."
               + (" The distance from 1 is on a logarithmic scale." if nearest is not None else ""))
    return style.finish(figure, title, caption)


def describe(metric, members, degrees, means, values):
    """means: block x degree; values: degree x seed x block."""
    names = " and ".join(members[:2])
    positive = [i for i, d in enumerate(degrees) if d > 0]
    if len(positive) < 2:
        return f"{style.capital(style.metric_name(metric))} between {names}"
    first, last = positive[0], positive[-1]
    lower = int(np.sum(means[:, last] < means[:, first]))
    certain = sum(mean_interval(values[first, :, b] - values[last, :, b], "seeds").above_zero for b in range(len(means)))
    start, end = style.apart(np.nanmean(means[:, first]), np.nanmean(means[:, last]))
    return (f"{style.capital(style.metric_name(metric))} between {names}, mean of the blocks: {start} at degree {degrees[first]}, {end} at degree "
            f"{degrees[last]}; lower in {lower} of {len(means)} blocks, with certainty in {certain}")
