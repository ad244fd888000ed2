"""Reads cmsweep stores into pandas and xarray: names instead of codes, units, committed rows only.

    import cmsweep_reader as cmsweep
    df = cmsweep.experiments("results/quickstart.h5")        # one row an experiment and target
    cka = cmsweep.similarity("results/quickstart.h5", "cka_debiased")

Every function takes one path or a list of paths (several sweeps, read as one; a row that two of them hold counts once)
and opens the files read-only, so that a running sweep can be read too: what is committed then is given. Two calls see two
moments of a running sweep; what must go together comes from one call. The format is described in STORE_FORMAT.md; this is
the only module of `analysis/` that knows it.
"""
from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
import xarray as xr

SCHEMA = 1
STATUS = ("pending", "done", "failed", "quarantined")
FAMILIES = {
    "reference": ("specialist", "base", "finetune_target", "joint"),
    "parameter": ("average", "slerp", "task_arithmetic", "ties", "dare", "breadcrumbs", "della", "magmax", "model_stock",
                  "karcher", "sce", "nearswap", "expo", "tsv", "iso_c", "rebasin", "fisher", "regmean",
                  "learned_average"),
    "activation": ("interpolate_features",),
    "routing": ("route",),
    "output": ("ensemble_logits", "ensemble_probabilities", "route_tokens", "select_model"),
}
"""Families of merge methods, as `cmsweep methods` prints them; a method that is not listed has family "unknown"."""

AGAINST = ("pair", "base", "self", "seeds")
"""Kinds of comparison, as in [similarity] against."""

_FAMILY_OF = {method: family for family, methods in FAMILIES.items() for method in methods}
_RESULT_TABLES = ("experiments", "similarity", "training", "routing")
_COMMIT_MAGIC = 0x434D5357  # upper half of a commit word: "CMSW"
_ABSENT = -1  # an integer that nobody has written
_CHECKSUMS = ("commit", "label_check", "note_check")
_LABELS_OF_AN_EXPERIMENT = ["id", "seed", "pair", "method", "setting", "target", "layer"]
_LABELS_OF_A_COMPARISON = ["seed", "seed_b", "probe", "site", "metric", "model_a", "degree_a", "model_b", "degree_b"]
_VALUES_OF_A_COMPARISON = ["value", "null_mean", "null_p95", "low", "high"]


class StoreError(ValueError):
    """The file is no store that this reader can read."""


# ---- what users call

def experiments(paths, failed=False, outside_plan=False) -> pd.DataFrame:
    """One row an experiment and target.

    Columns: `sweep` (its name); id, status, message, attempt, rank, seconds, retryable, in_plan; seed, pair, family,
    method, setting (JSON), target, layer, layer_first, layer_last; member_1, degree_1, weight_1, member_2, … (missing
    where a row has fewer members) and `degree` where all members have the same; one column a parameter of the settings
    (alpha, span, …; parameter_<name> where the name is taken); loss, accuracy, … Units and meanings are in
    `df.attrs["units"]` and `df.attrs["descriptions"]`.

    failed: also rows that failed; their values are missing. outside_plan: also rows that the last config no longer asks for.
    """
    return _experiments(paths, failed, outside_plan)[0]


def block_losses(paths, failed=False, outside_plan=False) -> pd.DataFrame:
    """Test loss (nat) of up to 64 consecutive groups of windows; same index as `experiments` with the same arguments."""
    return experiments_and_block_losses(paths, failed, outside_plan)[1]


def experiments_and_block_losses(paths, failed=False, outside_plan=False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both at one moment, so that their rows go together while a sweep runs too."""
    frame, arrays, _ = _experiments(paths, failed, outside_plan)
    losses = pd.DataFrame(arrays["block_loss"], index=frame.index)
    losses.columns.name = "loss_block"
    losses.attrs["units"] = {"block_loss": "nat"}
    return frame, losses


def notes(frame) -> pd.DataFrame:
    """What methods noted of the done rows of `experiments`, such as tau_norm and tau_cosine of task_arithmetic (the JSON in `message`):
    one column a note, the frame's index; missing where a row has no such note."""
    done = frame["status"] == "done"
    noted = [json.loads(text) if ok and text.startswith("{") else {} for text, ok in zip(frame["message"], done)]
    names = sorted({name for note in noted for name in note})
    return pd.DataFrame({name: pd.Series([note.get(name) for note in noted], dtype=object) for name in names}).set_axis(frame.index, axis=0) if names else frame[[]].copy()


def similarity_after_merge(paths, failed=False, outside_plan=False) -> xr.Dataset:
    """Debiased CKA of merged models' blocks to those of each member (row, member, block) and of the base (row, block);
    `row` is the index of `experiments` with the same arguments. NaN where it was not measured."""
    frame, arrays, attributes = _experiments(paths, failed, outside_plan)
    dims = {"similarity_member": ("row", "member", "block"), "similarity_base": ("row", "block")}
    return xr.Dataset({name: (dim, arrays[name], attributes[name]) for name, dim in dims.items()},
                      coords={"row": frame.index.to_numpy(), "member": np.arange(1, arrays["similarity_member"].shape[1] + 1)})


def comparisons(paths, failed=False, outside_plan=False) -> xr.Dataset:
    """Every comparison as one `row`: value, null_mean, null_p95, low, high (row, layer_a, layer_b), NaN-padded; its
    labels are coordinates on `row`, with `sweep` (its name), `in_plan`, and `against` saying what kind it is: pair, base, self
    or seeds."""
    pieces = []
    for path in _as_list(paths):
        with _open(path) as file:
            table = _read_table(file, "similarity", failed, outside_plan)
            values = {name: (("row", "layer_a", "layer_b"), table.arrays[name], table.attributes[name])
                      for name in _VALUES_OF_A_COMPARISON}
            labels = {name: ("row", table.names(name), table.attributes[name]) for name in _LABELS_OF_A_COMPARISON + ["id", "message", "in_plan"]}
            labels["against"] = ("row", np.array([_kind_of_comparison(*row) for row in zip(
                *(labels[name][1] for name in ("model_a", "degree_a", "seed", "model_b", "degree_b", "seed_b")))], dtype=object))
            labels["sweep"] = ("row", np.full(len(table.arrays["id"]), table.sweep, dtype=object))
            pieces.append(xr.Dataset(values, coords=labels))
    blocks = max(piece.sizes["layer_a"] for piece in pieces)
    data = xr.concat([piece.pad(layer_a=(0, blocks - piece.sizes["layer_a"]), layer_b=(0, blocks - piece.sizes["layer_b"]))
                      for piece in pieces], dim="row", combine_attrs="override") if len(pieces) > 1 else pieces[0]
    if len(pieces) > 1:
        repeated = pd.DataFrame({name: data[name].values for name in ["id", *_LABELS_OF_A_COMPARISON]}).duplicated()
        data = data.isel(row=~repeated.to_numpy())
    return data.assign_coords(layer_a=np.arange(blocks), layer_b=np.arange(blocks))


def similarity(paths, metric, against="pair", probe=None, site=None, outside_plan=False) -> xr.Dataset:
    """Similarities as an array with named axes: value, null_mean, null_p95, low, high.

    Dimensions: comparison ("code ~ math"; coordinates model_a, model_b), degree, seed, layer_a, layer_b. Besides:
    degree_b with against = "self", or where the members of a pair differ in degree; seed_b with against = "seeds".
    Where nothing was measured there is NaN. `probe` and `site` must be named if the stores have several. A metric with
    other parameters than its defaults is named with them: 'mutual_knn {"k":5}'. outside_plan: also what the last config no
    longer asks for; where it has the labels of a planned row, the planned one stands.

    Raises KeyError, naming what there is, if nothing fits, and StoreError if several stores hold different results for the same models.
    """
    data = comparisons(paths, outside_plan=outside_plan)
    return arranged(data.isel(row=np.argsort(data["in_plan"].values, kind="stable")), metric, against, probe, site)


def arranged(data, metric, against="pair", probe=None, site=None) -> xr.Dataset:
    """As `similarity`, of these comparisons; of equal labels the last one stands."""
    if against not in AGAINST:
        raise ValueError(f"against = {against!r}: expected one of {', '.join(AGAINST)}")
    for name, wanted in (("metric", metric), ("against", against), ("probe", probe), ("site", site)):
        there = [str(v) for v in pd.unique(data[name].values)]
        if wanted is None:
            if len(there) > 1:
                raise KeyError(f"there are several {name}s: say {name} = one of {', '.join(there)}")
        else:
            data = data.isel(row=np.flatnonzero(data[name].values == wanted))
            if data.sizes["row"] == 0:
                raise KeyError(f"no committed comparison with {name} = {wanted!r}; there are: {', '.join(there) or 'none'}")
    labels = {name: data[name].values for name in _LABELS_OF_A_COMPARISON}
    labels["comparison"] = np.array([f"{a} ~ {b}" for a, b in zip(labels["model_a"], labels["model_b"])], dtype=object)
    labels["degree"] = labels["degree_a"]
    dims = ["comparison", "degree"]
    if against == "self" or (against == "pair" and np.any(labels["degree_a"] != labels["degree_b"])):
        dims.append("degree_b")
    dims += ["seed"] + (["seed_b"] if against == "seeds" else [])
    axes = {dim: pd.unique(labels[dim]) if dim == "comparison" else np.unique(labels[dim]) for dim in dims}
    place = tuple(pd.Index(axes[dim]).get_indexer(labels[dim]) for dim in dims)
    _refuse_two_results(data, pd.DataFrame(dict(zip(dims, place))), metric)
    blocks = data.sizes["layer_a"]
    variables = {}
    for name in _VALUES_OF_A_COMPARISON:
        array = np.full([len(axes[dim]) for dim in dims] + [blocks, blocks], np.nan)
        array[place] = data[name].values
        variables[name] = (dims + ["layer_a", "layer_b"], array, data[name].attrs)
    coords = {**axes, "layer_a": np.arange(blocks), "layer_b": np.arange(blocks)}
    for side in ("model_a", "model_b"):
        first = pd.Series(labels[side]).groupby(labels["comparison"]).first()
        coords[side] = ("comparison", first[axes["comparison"]].to_numpy(dtype=object))
    result = xr.Dataset(variables, coords=coords, attrs={"metric": metric, "against": against})
    result["degree"].attrs = {"units": "step", "long_name": "fine-tuning steps"}
    return result


def _refuse_two_results(data, places, metric):
    """Planned rows that lie at the same place, with other contents."""
    planned = data["in_plan"].values == 1
    twice = places[planned].duplicated()
    if twice.any():
        row = data.isel(row=int(np.flatnonzero(planned)[np.flatnonzero(twice)[0]]))
        sweeps = ", ".join(pd.unique(data["sweep"].values))
        raise StoreError(f"{metric} of {row['model_a'].item()} at degree {row['degree_a'].item()} with {row['model_b'].item()} at degree "
                         f"{row['degree_b'].item()} has different results in the sweeps {sweeps}: models of one name differ there; "
                         "read these stores one at a time")


def training(paths, failed=False, outside_plan=False) -> pd.DataFrame:
    """Training curves: one row a model, seed and step (from 0), with loss (nat, before the step) and learning_rate."""
    frames = []
    for path in _as_list(paths):
        with _open(path) as file:
            table = _read_table(file, "training", failed, outside_plan)
            row, step = np.nonzero(~np.isnan(table.arrays["loss"]))
            frames.append(pd.DataFrame({
                "sweep": _category([table.sweep] * len(row), [table.sweep]), "id": table.arrays["id"][row],
                "model": _category(table.names("model")[row], table.tables["model"]), "seed": table.arrays["seed"][row], "step": step,
                "loss": table.arrays["loss"][row, step], "learning_rate": table.arrays["learning_rate"][row, step]}))
    frame = _under_one_another(frames, ["id", "model", "seed", "step"])
    frame.attrs["units"] = {"step": "step", "loss": "nat", "learning_rate": "1"}
    frame.attrs["descriptions"] = {"step": "optimiser steps before this one", **{
        name: table.attributes[name]["long_name"] for name in ("loss", "learning_rate") if "long_name" in table.attributes[name]}}
    return frame


def routing(paths, failed=False, outside_plan=False) -> pd.DataFrame:
    """Mean routing weights: one row an experiment, block and expert (from 0; blocks i, i+1, … and past the top i-1, …, each
    with every member's MLP, then the base's), with the experiment's seed, pair, degree, target, layer and parameters."""
    frames = []
    for path in _as_list(paths):
        with _open(path) as file:
            table = _read_table(file, "routing", failed, outside_plan)
            row, block, expert = np.nonzero(~np.isnan(table.arrays["weight"]))
            weights = pd.DataFrame({"id": table.arrays["id"][row], "block": block, "expert": expert,
                                    "weight": table.arrays["weight"][row, block, expert]})
        rows = experiments(path, failed, outside_plan)
        rows = rows[rows["family"] == "routing"]
        kept = ["sweep", "id", "seed", "pair", "degree", "target", "layer", "setting"]
        kept += [name for name in rows.attrs["parameters"] if rows[name].notna().any()]
        frames.append(rows[kept].merge(weights, on="id"))
    frame = _under_one_another(frames, ["id", "seed", "pair", "target", "layer", "setting", "block", "expert"])
    frame.attrs["units"] = {"degree": "step", "weight": "1"}
    frame.attrs["descriptions"] = {"block": "combined block, from 0", "expert": "expert of that block, from 0",
                                   **({"weight": table.attributes["weight"]["long_name"]} if "long_name" in table.attributes["weight"] else {})}
    return frame


def runs(paths) -> pd.DataFrame:
    """One row a start of the program: started, ended (UTC; missing if it was killed or still runs), ranks, hosts, version, outcome."""
    frames = []
    for path in _as_list(paths):
        with _open(path) as file:
            group = file["runs"]
            used = ~np.isnan(group["started"][:])
            sweep = _text(file.attrs["name"])
            frames.append(pd.DataFrame({
                "sweep": _category([sweep] * int(used.sum()), [sweep]),
                "started": pd.to_datetime(group["started"][:][used], unit="s", utc=True),
                "ended": pd.to_datetime(group["ended"][:][used], unit="s", utc=True),
                "ranks": group["ranks"][:][used],
                **{name: _decoded(group[name][:][used]) for name in ("hosts", "version", "outcome")}}))
            meanings = {name: _text(group[name].attrs["long_name"]) for name in frames[-1] if name != "sweep" and "long_name" in group[name].attrs}
    frame = _under_one_another(frames)
    frame.attrs["units"] = {"started": "UTC", "ended": "UTC", "ranks": "1"}
    frame.attrs["descriptions"] = meanings
    return frame


def provenance(path) -> dict:
    """What made one store: sweep, schema, version, created, config (the TOML text), environment (a dict)."""
    with _open(path) as file:
        return {"sweep": _text(file.attrs["name"]), "schema": int(file.attrs["cmsweep_schema"]),
                "version": _text(file.attrs["cmsweep_version"]), "created": _text(file.attrs["created"]),
                "config": _text(file["config"][()]),
                "environment": {name: _text(value) for name, value in file["environment"].attrs.items()}}


def progress(paths) -> pd.DataFrame:
    """How far each table has got: one row a sweep and table, with the rows of its plan that are done, failed, quarantined and
    pending, and those outside the plan that are kept. Works while the sweep runs."""
    counts = []
    for path in _as_list(paths):
        with _open(path) as file:
            for table in _RESULT_TABLES:
                in_plan, status = file[table]["in_plan"][:] == 1, file[table]["status"][:]
                status = np.where(file[table]["commit"][:] >> np.uint64(32) == _COMMIT_MAGIC, status, 0)
                counts.append({"sweep": _text(file.attrs["name"]), "table": table, "planned": int(in_plan.sum()),
                               **{name: int(np.sum(in_plan & (status == code))) for code, name in enumerate(STATUS)},
                               "outside_plan": int(np.sum(~in_plan & (status > 0)))})
    return pd.DataFrame(counts)


def failures(paths) -> pd.DataFrame:
    """Rows of the plan that failed or were quarantined, of every table: sweep, table, status, what (its labels in words), seed,
    attempt, message."""
    found = []
    for path in _as_list(paths):
        with _open(path) as file:
            settings = np.append(_decoded(file["axes/setting/name"][:]), "")
            for name in _RESULT_TABLES:
                table = _read_table(file, name, failed=True, outside_plan=False)
                labels = {column: table.names(column) for column in table.tables if column not in ("model", "method")}
                for i in np.flatnonzero(table.arrays["status"] > 1):
                    if name == "experiments":
                        degrees = table.arrays["degree"][i][table.arrays["model"][i] != _ABSENT]
                        what = (f"{labels['pair'][i]} at degree {'/'.join(str(d) for d in dict.fromkeys(degrees))} on {labels['target'][i]}: "
                                f"{settings[table.arrays['setting'][i]]}" + (f", layer {labels['layer'][i]}" if labels["layer"][i] != "none" else ""))
                    elif name == "similarity":
                        what = " ~ ".join(f"{labels[f'model_{s}'][i]} at degree {table.arrays[f'degree_{s}'][i]}" for s in "ab") + f": {labels['metric'][i]}"
                    else:
                        what = f"trajectory of {table.names('model')[i]}" if name == "training" else f"experiment {table.arrays['id'][i]}"
                    found.append({"sweep": table.sweep, "table": name, "status": STATUS[table.arrays["status"][i]], "what": what,
                                  "seed": table.arrays["seed"][i] if "seed" in table.arrays else _ABSENT, "attempt": table.arrays["attempt"][i],
                                  "message": table.arrays["message"][i]})
    return pd.DataFrame(found, columns=["sweep", "table", "status", "what", "seed", "attempt", "message"])


# ---- the file

@dataclass
class _Table:
    """The committed rows of one table."""
    sweep: str
    arrays: dict      # column -> array, rows first; texts decoded
    attributes: dict  # column -> {"units", "long_name"}
    tables: dict      # column -> names of its codes

    def names(self, column):
        """The column with names instead of codes, where it has codes."""
        if column not in self.tables:
            return self.arrays[column]
        names = np.append(self.tables[column], "")  # an absent code, -1, is the last
        return names[self.arrays[column]]


def _as_list(paths):
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _decoded(array):
    return np.array([_text(value) for value in array.ravel()], dtype=object).reshape(array.shape)


@contextmanager
def _open(path):
    path = os.fspath(path)
    if not os.path.exists(path):
        raise StoreError(f"{path}: no such store; expected a file made by cmsweep")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        how = ("; a program has it open for writing: close it there. Or its file system knows no locks: set HDF5_USE_FILE_LOCKING=FALSE"
               if "unable to lock" in str(error) else "")
        raise StoreError(f"{path}: cannot be opened as an HDF5 file: {error}{how}") from error
    with file:
        schema = file.attrs.get("cmsweep_schema")
        if schema is None:
            raise StoreError(f"{path}: an HDF5 file, but no cmsweep store: it has no attribute cmsweep_schema")
        if int(schema) != SCHEMA:
            raise StoreError(f"{path}: store schema {int(schema)}, written by cmsweep {_text(file.attrs.get('cmsweep_version', 'unknown'))}; "
                             f"this reader reads schema {SCHEMA}: use the cmsweep_reader.py of the version that wrote the store")
        yield file


def _read_table(file, name, failed, outside_plan) -> _Table:
    group = file[name]
    commit = group["commit"]
    # A sweep may be running: what was committed both before and after the values were read has not changed meanwhile.
    before = commit[:]
    arrays, attributes, tables = {}, {}, {}
    for column, dataset in group.items():
        if h5py.h5ds.is_scale(dataset.id):
            continue
        values = dataset[...]
        arrays[column] = _decoded(values) if values.dtype.kind == "S" else values
        attributes[column] = {key: _text(dataset.attrs[key]) for key in ("units", "long_name") if key in dataset.attrs}
        if "axis_table" in dataset.attrs:
            tables[column] = _decoded(file[_text(dataset.attrs["axis_table"])]["name"][:])
    commit.id.refresh()
    committed = (before >> np.uint64(32) == _COMMIT_MAGIC) & (before == commit[:])
    status = arrays["status"]
    keep = committed & ((status >= 1) if failed else (status == 1))
    if not outside_plan:
        keep &= arrays["in_plan"] == 1
    return _Table(_text(file.attrs["name"]), {column: values[keep] for column, values in arrays.items()}, attributes, tables)


def _category(values, order):
    there = set(values)
    return pd.Categorical(values, categories=[name for name in dict.fromkeys(order) if name in there])


def _optional_integers(values, absent):
    """pandas' integers that may be missing."""
    return pd.arrays.IntegerArray(values.astype(np.int64), np.array(absent, dtype=bool))


def _parameters(file, table):
    """Column -> one value a row, from the JSON of the rows' settings."""
    settings = [json.loads(text or "{}") for text in _decoded(file["axes/setting/parameters"][:])]
    columns = {}
    for key in sorted({key for setting in settings for key in setting}):
        of_setting = [tuple(v) if isinstance(v := setting.get(key), list) else v for setting in settings] + [None]
        values = [of_setting[code] for code in table.arrays["setting"]]
        numbers = all(v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in values)
        name = key if key not in table.arrays and key not in ("family", "sweep", "degree") else "parameter_" + key
        columns[name] = np.array([np.nan if v is None else v for v in values], dtype=float) if numbers else pd.Series(values, dtype=object)
    return columns


def _experiment_frame(file, table) -> pd.DataFrame:
    arrays = table.arrays
    columns = {"sweep": _category([table.sweep] * len(arrays["id"]), [table.sweep])}
    for name in ("id", "message", "attempt", "rank", "seconds", "retryable", "in_plan"):
        columns[name] = arrays[name]
    columns["status"] = _category(np.array(STATUS, dtype=object)[arrays["status"]], STATUS)
    columns["seed"] = arrays["seed"]
    for name in ("pair", "method", "target", "layer"):
        columns[name] = _category(table.names(name), table.tables[name])
    families = [_FAMILY_OF.get(method, "unknown") for method in columns["method"]]
    columns["family"] = _category(families, [*FAMILIES, "unknown"])
    parameters = np.append(_decoded(file["axes/setting/parameters"][:]), "")
    columns["setting"] = _category(parameters[arrays["setting"]], parameters)
    columns["layer_first"], columns["layer_last"] = arrays["layer_first"], arrays["layer_last"]
    degrees, members = arrays["degree"], table.names("model")
    there = arrays["model"] != _ABSENT
    for m in range(degrees.shape[1]):
        columns[f"member_{m + 1}"] = _category(np.where(there[:, m], members[:, m], None), table.tables["model"])
        columns[f"degree_{m + 1}"] = _optional_integers(degrees[:, m], ~there[:, m])
        columns[f"weight_{m + 1}"] = arrays["weight"][:, m]
    alike = np.all(np.where(there, degrees == degrees[:, :1], True), axis=1) & there[:, 0]
    columns["degree"] = _optional_integers(degrees[:, 0], ~alike)
    own_parameters = _parameters(file, table)
    columns.update(own_parameters)
    for name, values in arrays.items():
        if name in columns or values.ndim > 1 or name in _CHECKSUMS:
            continue
        columns[name] = values if values.dtype.kind == "f" else _optional_integers(values, values == _ABSENT)
    frame = pd.DataFrame(columns)
    frame.attrs["parameters"] = list(own_parameters)
    return frame


def _experiments(paths, failed, outside_plan):
    """The frame, the columns with more dimensions than rows, and the attributes of the stored columns."""
    frames, arrays, attributes, parameters = [], [], {}, []
    for path in _as_list(paths):
        with _open(path) as file:
            table = _read_table(file, "experiments", failed, outside_plan)
            frames.append(_experiment_frame(file, table))
            arrays.append({name: values for name, values in table.arrays.items() if values.ndim > 1 and values.dtype.kind == "f"})
            attributes.update(table.attributes)
            parameters += [name for name in frames[-1].attrs["parameters"] if name not in parameters]
    frame = _under_one_another(frames)
    keep = ~frame.duplicated(_LABELS_OF_AN_EXPERIMENT).to_numpy() if len(frames) > 1 else slice(None)
    frame = frame[keep].reset_index(drop=True)
    frame.index.name = "row"
    stored = {"degree": "degree", **{c: c.rsplit("_", 1)[0] for c in frame if c.startswith(("degree_", "weight_"))},
              **{c: c for c in frame if c in attributes}}
    frame.attrs["parameters"] = parameters
    frame.attrs["units"] = {c: attributes[s]["units"] for c, s in stored.items() if "units" in attributes.get(s, {})}
    frame.attrs["descriptions"] = {c: attributes[s]["long_name"] for c, s in stored.items() if "long_name" in attributes.get(s, {})}
    return frame, {name: _stacked([a[name] for a in arrays])[keep] for name in arrays[0]}, attributes


def _under_one_another(frames, once=None):
    """The frames as one that keeps their categories; of rows alike in the columns `once` the first."""
    if len(frames) == 1:
        frame = frames[0]
    else:
        categories = list(dict.fromkeys(c for f in frames for c in f.columns if f[c].dtype == "category"))
        frame = pd.concat([f.astype({c: object for c in f.columns if c in categories}) for f in frames], ignore_index=True)
        for name in categories:
            order = dict.fromkeys(v for f in frames if name in f for v in f[name].cat.categories)
            frame[name] = _category(frame[name], order)
    return frame[~frame.duplicated(once)].reset_index(drop=True) if once else frame


def _stacked(arrays):
    """Rows of several stores under one another, the other axes padded with NaN to the largest."""
    shape = np.max([a.shape[1:] for a in arrays], axis=0)
    return np.concatenate([np.pad(a, [(0, 0), *((0, most - have) for most, have in zip(shape, a.shape[1:]))],
                                  constant_values=np.nan) for a in arrays])


def _kind_of_comparison(model_a, degree_a, seed_a, model_b, degree_b, seed_b):
    if model_b == "base":
        return "base"
    if model_a != model_b:
        return "pair"
    return "self" if seed_a == seed_b else "seeds"
