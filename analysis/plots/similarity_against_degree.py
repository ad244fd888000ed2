"""CKA between the members against degree, block by block, with its null band and the same-specialist ceiling."""
import numpy as np
import xarray as xr

from intervals import Interval, mean_interval
from sweep import Missing

from . import style

NAME = "similarity_against_degree"
SITES = {"residual": "residual stream", "mlp_output": "MLP outputs"}


def preferred_metrics(data):
    """Debiased CKA first, then the biased form, then what there is; two at most."""
    there = [str(m) for m in np.unique(data["metric"].values)]
    return sorted(there, key=lambda m: (m != "cka_debiased", m != "cka_linear", m))[:2]


def place_of_reading(sweep, members):
    """(probe, site) where this pair was compared at the most degrees; of equals a probe that is a target, then the first."""
    data = sweep.comparisons
    own = data.isel(row=[kind == "pair" and {a, b} == set(members[:2]) for kind, a, b in
                         zip(data["against"].values, data["model_a"].values, data["model_b"].values)])
    places = list(dict.fromkeys(zip(own["probe"].values, own["site"].values)))
    targets = set(sweep.experiments["target"].astype(str))

    def degrees(place):
        return len(np.unique(own["degree_a"].values[(own["probe"].values == place[0]) & (own["site"].values == place[1])]))

    return max(places, key=lambda place: (degrees(place), place[0] in targets), default=None)


def comparisons_of(sweep, metric, against, members, place=None):
    """The similarity array of one kind between these members (or of them with the base, or with themselves), or None. Read at
    `place`, (probe, site), or where the members are best compared."""
    place = place or place_of_reading(sweep, members)
    if place is None:
        return None
    try:
        array = sweep.similarity(metric, against, *place)
    except KeyError:
        return None
    a, b = array["model_a"].values, array["model_b"].values
    keep = [(x in members) and (y in members or y == "base") for x, y in zip(a, b)]
    array = array.isel(comparison=np.flatnonzero(keep))
    if array.sizes["comparison"] == 0:
        return None
    for dim in ("degree", "degree_b", "seed", "seed_b"):  # what only other models have
        array = array.dropna(dim, how="all", subset=["value"]) if dim in array.dims else array
    return array


def between_members(sweep, metric, members):
    """The similarity of the first two members alike in degree: degree, seed, layer_a, layer_b; or None."""
    array = comparisons_of(sweep, metric, "pair", members[:2])
    if array is None:
        return None
    measured = np.isfinite(array["value"]).any([d for d in array["value"].dims if d not in ("comparison", "degree")]).sum("degree")
    array = array.isel(comparison=int(np.argmax(measured.values)))  # a pair may stand in both orders
    if "degree_b" in array.dims:
        alike = xr.DataArray([d for d in array["degree"].values if d in array["degree_b"].values], dims="degree")
        array = array.sel(degree=alike, degree_b=alike).drop_vars("degree_b").assign_coords(degree=alike.values)
    for dim in ("degree", "seed"):
        array = array.dropna(dim, how="all", subset=["value"])
    return array if array.sizes["degree"] else None


def metrics_between(sweep, members):
    """Preferred metrics by which the members, alike in degree, were compared, and their arrays."""
    arrays = {m: between_members(sweep, m, members) for m in preferred_metrics(sweep.comparisons)}
    arrays = {m: array for m, array in arrays.items() if array is not None}
    if not arrays:
        raise Missing("comparisons between the members, alike in degree ([similarity] against = [\"pair\"])")
    return arrays


def interval_below_one(values):
    """Mean over seeds with an interval by Student's t of the Fisher transforms, which keeps it below 1, as the stored interval over
    documents does."""
    z = mean_interval(np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12)), "seeds")
    return Interval(float(np.nanmean(values)), float(np.tanh(z.low)) if z.n > 1 else z.low, float(np.tanh(z.high)) if z.n > 1 else z.high, z.n, z.over)


def interval_at(array, block):
    """Over seeds; where they do not vary the stored interval over documents stands."""
    values = array["value"].values[:, block, block]
    values = values[np.isfinite(values)]
    if len(values) > 1 and np.ptp(values) > 0:
        return interval_below_one(values)
    if len(values) == 0:
        return Interval(np.nan, -np.inf, np.inf, 0)
    low, high = (float(np.nanmean(array[side].values[:, block, block])) for side in ("low", "high"))
    return Interval(float(values[0]), low, high, 1, "documents")


def draw(sweep, pair):
    members = sweep.members(pair)
    arrays = metrics_between(sweep, members)
    metrics = list(arrays)
    blocks = max(int(np.isfinite(array["value"].values).any(axis=(0, 1, 3)).sum()) for array in arrays.values())
    shown = list(range(blocks)) if blocks <= 6 else [int(round(i)) for i in np.linspace(0, blocks - 1, 6)]
    figure, axes, room = style.new_figure(len(metrics), len(shown), max(6.8, 2.2 * len(shown)), 1.5 + 2.2 * len(metrics), legend_lines=2)
    ceiling_seen, title, per_seed = False, "", set()
    for row, metric in zip(axes, metrics):
        array = arrays[metric]
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
            style.degree_axis(axis, degrees, label="degree (steps)" if metric == metrics[-1] else "", most=4)
            style.similarity_axis(axis, nearest, float(np.nanmin(low)) - 0.02)
        row[0].set_ylabel(style.metric_name(metric))
        if metric == metrics[0]:
            title = describe(metric, members, degrees, np.array(means), array["value"].values[..., shown, shown])
            title += below_ceiling(array, ceiling, shown)
    style.legend_below(room, axes[0][0], 2)
    probe, site = place_of_reading(sweep, members)
    n = f"Student's t over n = {' or '.join(map(str, sorted(per_seed)))} seeds" if per_seed else "stored jackknife over documents"
    caption = (f"Bars: 95 % interval, {n}; where seeds do not vary (degree 0), jackknife over documents. "
               + ("Ceiling: mean and range over pairs of seeds. " if ceiling_seen else "No ceiling: the store has no comparisons of a "
                  "specialist with itself under another seed. ")
               + f"Probe {probe}, {SITES.get(site, site)}."
               + (" The distance from 1 is on a logarithmic scale." if nearest is not None else ""))
    return style.finish(figure, title, caption)


def below_ceiling(array, ceiling, blocks):
    """In how many blocks the pair lies below its members' ceiling at the last degree that both have: paired by seed, each seed's ceiling
    being the mean over the members and the other seeds."""
    common = [d for d in array["degree"].values if d > 0 and ceiling is not None and d in ceiling["degree"].values]
    if not common:
        return ""
    own, gaps = array["value"].sel(degree=common[-1]), []
    for block in blocks:
        at = dict(layer_a=block, layer_b=block)
        values = ceiling["value"].sel(degree=common[-1]).isel(at)
        level = {seed: np.concatenate([values.sel({side: seed}).values.ravel() for side in ("seed", "seed_b") if seed in values[side].values] or [[np.nan]])
                 for seed in own["seed"].values}
        level = np.array([numbers[np.isfinite(numbers)].mean() if np.isfinite(numbers).any() else np.nan for numbers in level.values()])
        gaps.append(mean_interval(level - own.isel(at).values, "seeds"))
    below, certain = sum(gap.mean > 0 for gap in gaps), sum(gap.above_zero for gap in gaps)
    return f"; at degree {int(common[-1])} below the same-specialist ceiling in {below} of {len(gaps)}, with certainty in {certain}"


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
