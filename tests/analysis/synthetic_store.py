"""Writes small stores with h5py, laid out as src/store/layout.cpp and src/plan/tables.cpp do, with made-up numbers that are
known exactly: so that the reader and the figures can be checked by hand, and without a build."""
import json
import zlib

import h5py
import numpy as np

MAGIC = 0x434D5357
DONE, FAILED = 1, 2
LOSS_BLOCKS = 64

# column: (type, dimensions after row, unit, axis)
COMMON = {
    "id": ("S32", (), "", ""), "in_plan": ("i1", (), "1", ""), "status": ("i1", (), "1", ""), "commit": ("u8", (), "1", ""),
    "message": ("S256", (), "", ""), "attempt": ("i4", (), "1", ""), "rank": ("i4", (), "1", ""), "seconds": ("f8", (), "s", ""),
    "retryable": ("i1", (), "1", ""), "label_check": ("u8", (), "1", ""), "note_check": ("u8", (), "1", ""),
}
TABLES = {
    "experiments": {
        **COMMON,
        "seed": ("i8", (), "1", ""), "pair": ("i4", (), "", "pair"), "method": ("i4", (), "", "method"),
        "setting": ("i4", (), "", "setting"), "target": ("i4", (), "", "target"), "layer": ("i4", (), "", "layer"),
        "layer_first": ("i4", (), "1", ""), "layer_last": ("i4", (), "1", ""), "model": ("i4", ("member",), "", "model"),
        "degree": ("i8", ("member",), "step", ""), "weight": ("f8", ("member",), "1", ""),
        "loss": ("f8", (), "nat", ""), "accuracy": ("f8", (), "1", ""), "loss_select": ("f8", (), "nat", ""),
        "loss_suffix": ("f8", (), "nat", ""), "tokens": ("i8", (), "token", ""), "block_loss": ("f8", ("loss_block",), "nat", ""),
        "parameters_stored": ("i8", (), "1", ""), "parameters_active": ("i8", (), "1", ""), "parameters_trained": ("i8", (), "1", ""),
        "target_tokens": ("i8", (), "token", ""), "flops_per_token": ("f8", (), "flop", ""),
        "similarity_member": ("f8", ("member", "block"), "1", ""), "similarity_base": ("f8", ("block",), "1", ""),
    },
    "similarity": {
        **COMMON,
        "seed": ("i8", (), "1", ""), "seed_b": ("i8", (), "1", ""), "probe": ("i4", (), "", "corpus"), "site": ("i4", (), "", "site"),
        "metric": ("i4", (), "", "metric"), "model_a": ("i4", (), "", "model"), "degree_a": ("i8", (), "step", ""),
        "model_b": ("i4", (), "", "model"), "degree_b": ("i8", (), "step", ""),
        **{name: ("f8", ("layer_a", "layer_b"), "1", "") for name in ("value", "null_mean", "null_p95", "low", "high")},
    },
    "training": {
        **COMMON,
        "model": ("i4", (), "", "model"), "seed": ("i8", (), "1", ""), "loss": ("f8", ("step",), "nat", ""),
        "learning_rate": ("f8", ("step",), "1", ""),
    },
    "routing": {**COMMON, "weight": ("f8", ("block", "expert"), "1", "")},
    "runs": {
        "started": ("f8", (), "seconds since 1970-01-01", ""), "ended": ("f8", (), "seconds since 1970-01-01", ""),
        "ranks": ("i4", (), "1", ""), "hosts": ("S256", (), "", ""), "version": ("S64", (), "", ""), "outcome": ("S64", (), "", ""),
    },
}
ZERO_WHEN_ABSENT = {"in_plan", "status", "commit", "attempt", "retryable", "label_check", "note_check"}


class Names(list):
    """A name table: codes are positions in order of first use."""

    def code(self, name):
        if name not in self:
            self.append(name)
        return self.index(name)


class StoreBuilder:
    """Rows are dicts with names; what is left out stays at the fill value. `axes` fill up as rows are added."""

    def __init__(self, name="synthetic", blocks=3, members=2, schema=1, steps=5, experts=4):
        self.name, self.schema = name, schema
        self.config = "[sweep]\nname = \"synthetic\"\n"
        self.sizes = {"member": members, "block": blocks, "loss_block": LOSS_BLOCKS, "layer_a": blocks, "layer_b": blocks,
                      "step": steps, "expert": experts}
        self.rows = {table: [] for table in TABLES}
        self.axes = {axis: Names() for axis in ("model", "corpus", "pair", "layer", "method", "target", "metric", "site", "setting")}
        self.members_of_pair, self.parameters = [], []

    def experiment(self, method, members, degrees, setting=None, seed=0, target="doctest", layer="none", loss=1.0,
                   loss_select=None, block_loss=None, weights=None, id=None, **more):
        pair = "+".join(members)
        if pair not in self.axes["pair"]:
            self.axes["pair"].append(pair)
            self.members_of_pair.append(members)
        parameters = json.dumps(setting or {}, sort_keys=True, separators=(",", ":"))
        if method + " " + parameters not in self.axes["setting"]:
            self.axes["setting"].append(method + " " + parameters)
            self.parameters.append((method, parameters))
        row = {"seed": seed, "pair": pair, "method": method, "setting": method + " " + parameters, "target": target, "layer": layer,
               "layer_first": -1 if layer == "none" else 0, "layer_last": -1 if layer == "none" else self.sizes["block"] - 1,
               "model": members, "degree": degrees, "weight": weights or [np.nan] * len(members), "loss": loss,
               "loss_select": loss if loss_select is None else loss_select, "accuracy": 0.5, "loss_suffix": loss, "tokens": 1000,
               "block_loss": [loss] * 8 if block_loss is None else block_loss, "parameters_stored": 100, "parameters_active": 100,
               "parameters_trained": 0, "target_tokens": 0, "flops_per_token": 200.0}
        row.update(more)
        row["id"] = id or f"{zlib.crc32(repr((method, members, degrees, parameters, seed, target, layer)).encode()):032x}"
        return self.add("experiments", row)

    def comparison(self, model_a, degree_a, model_b, degree_b, value, seed=0, seed_b=None, metric="cka_debiased", probe="doctest",
                   site="residual", null_mean=0.0, null_p95=0.1, half_width=0.02, **more):
        value = np.asarray(value, float)
        full = np.full_like
        return self.add("similarity", {
            "seed": seed, "seed_b": seed if seed_b is None else seed_b, "probe": probe, "site": site, "metric": metric,
            "model_a": model_a, "degree_a": degree_a, "model_b": model_b, "degree_b": degree_b, "value": value,
            "null_mean": full(value, null_mean), "null_p95": full(value, null_p95), "low": value - half_width,
            "high": value + half_width, **more})

    def add(self, table, row):
        row = {"status": DONE, "in_plan": 1, "rank": 1, "attempt": 1, "seconds": 0.5, "retryable": 0, **row}
        row.setdefault("id", f"{len(self.rows[table]):032x}")
        if row["status"] and "commit" not in row:
            row["commit"] = MAGIC << 32 | zlib.crc32(row["id"].encode())
        self.rows[table].append(row)
        return row

    def write(self, path):
        coded = {table: {c: spec[3] for c, spec in columns.items() if spec[3]} for table, columns in TABLES.items()}
        for table, columns in coded.items():  # all names first, so that their tables are complete
            for row in self.rows[table]:
                for column, axis in columns.items():
                    for name in row[column] if isinstance(row[column], list) else [row[column]]:
                        self.axes[axis].code(name)
        for method, _ in self.parameters:
            self.axes["method"].code(method)
        with h5py.File(path, "w") as file:
            file.attrs["cmsweep_schema"] = self.schema
            for key, value in {"cmsweep_version": "0.1.0", "name": self.name, "created": "2024-01-01T00:00:00Z",
                               "plan_digest": "0" * 32}.items():
                file.attrs[key] = np.bytes_(value)
            file["config"] = np.bytes_(self.config)
            file.create_group("environment").attrs["hdf5"] = np.bytes_("1.10.8")
            for axis, names in self.axes.items():
                self._write_axis(file.create_group(f"axes/{axis}"), axis, names)
            for table, columns in TABLES.items():
                self._write_table(file.create_group(table), table, columns)
        return path

    def _write_axis(self, group, axis, names):
        scale = self._scale(group, axis, len(names), rows=True)
        self._texts(group, "name", names, scale)
        if axis == "pair":
            width = max([1, *map(len, self.members_of_pair)])
            padded = [list(m) + [""] * (width - len(m)) for m in self.members_of_pair]
            data = self._texts(group, "members", padded, scale) if padded else None
            if data is not None:
                data.dims[1].attach_scale(self._scale(group, "member", width, rows=False))
        if axis == "setting":
            group.create_dataset("method", data=np.array([self.axes["method"].index(m) for m, _ in self.parameters], "i4"))
            group["method"].attrs["axis_table"] = np.bytes_("/axes/method")
            self._texts(group, "parameters", [p for _, p in self.parameters], scale)

    def _write_table(self, group, table, columns):
        rows = self.rows[table]
        count = 4 if table == "runs" else len(rows)
        scales = {"row": self._scale(group, "row", count, rows=True)}
        for dimension in sorted({d for spec in columns.values() for d in spec[1]}):
            scales[dimension] = self._scale(group, dimension, self.sizes[dimension], rows=False)
        for name, (kind, dimensions, unit, axis) in columns.items():
            fill = b"" if kind[0] == "S" else 0 if name in ZERO_WHEN_ABSENT else np.nan if kind[0] == "f" else -1
            data = np.full([count] + [self.sizes[d] for d in dimensions], fill, dtype=kind)
            for i, row in enumerate(rows):
                if name not in row:
                    continue
                value = row[name]
                if axis:
                    codes = self.axes[axis]
                    value = [codes.index(v) for v in value] if isinstance(value, list) else codes.index(value)
                if kind[0] == "S":
                    data[i] = value.encode()[:int(kind[1:])]
                else:
                    value = np.asarray(value)
                    data[(i, *map(slice, value.shape))] = value
            dataset = group.create_dataset(name, data=data)
            dataset.attrs["long_name"] = np.bytes_(f"what {name} means")
            if unit:
                dataset.attrs["units"] = np.bytes_(unit)
            if axis:
                dataset.attrs["axis_table"] = np.bytes_(f"/axes/{axis}")
            for position, dimension in enumerate(("row", *dimensions)):
                dataset.dims[position].attach_scale(scales[dimension])

    @staticmethod
    def _scale(group, name, size, rows):
        scale = group.create_dataset(name, data=np.arange(size).reshape((size,) if rows else (size, 1)))
        scale.make_scale(name if rows else "This is a netCDF dimension but not a netCDF variable. %9d" % size)
        return scale

    @staticmethod
    def _texts(group, name, texts, scale):
        encoded = np.array([[t.encode() for t in row] if isinstance(row, list) else row.encode() for row in texts], dtype="S")
        if encoded.size == 0:
            encoded = np.zeros(0, "S1")
        dataset = group.create_dataset(name, data=encoded)
        dataset.dims[0].attach_scale(scale)
        return dataset


def quickstart_like(name="synthetic", seeds=(0, 1, 2), degrees=(0, 25, 100, 400), blocks=3, members=2):
    """A sweep in the quickstart's shape in which all three findings of the paper hold, by construction."""
    store = StoreBuilder(name, blocks=blocks, experts=4, members=members)
    pair, base_loss = ["code", "math"], 2.0
    noise = np.sin(np.arange(1, 65))  # the same text is hard for every model: paired differences must remove it

    def blocks_around(loss, spread=0.0):
        return list(loss + 0.3 * noise + spread * np.cos(np.arange(64)))

    def seeded(degree, seed):
        return 0.004 * (seed - 1) if degree else 0.0

    def id_of(what, degree, seed):
        return f"{zlib.crc32(repr((what, degree, seed if degree else 'any')).encode()):032x}"

    bowl = {0: 0.0, 25: -0.10, 100: -0.05, 400: 0.10}
    routed = {0: -0.05, 25: -0.2, 100: -0.25, 400: -0.28}
    for seed in seeds:
        store.experiment("base", ["base"], [0], seed=seed, loss=base_loss, block_loss=blocks_around(base_loss), weights=[1.0],
                         id=id_of("base", 0, 0))
        for degree in degrees:
            for which, model in enumerate(pair):
                loss = base_loss + (degree / 400) ** 0.5 * (0.5 if which == 0 else 0.4) + seeded(degree, seed)
                store.experiment("specialist", [model], [degree], seed=seed, loss=loss, block_loss=blocks_around(loss), weights=[1.0],
                                 id=id_of(model if degree else "base", degree, seed))
            for method in ("average", "interpolate_features"):
                for alpha in (0.25, 0.5, 0.75):
                    loss = base_loss + (bowl[degree] + (0.02 if method == "average" else 0) + abs(alpha - 0.5) * 0.1 if degree else 0)
                    loss += seeded(degree, seed)
                    setting = {"alpha": alpha} if method == "average" else {"alpha": alpha, "site": "mlp"}
                    store.experiment(method, pair, [degree] * 2, setting, seed, layer="all", loss=loss, weights=[alpha, 1 - alpha],
                                     block_loss=blocks_around(loss, 0.01), id=id_of((method, alpha), degree, seed))
            for span in (1, 2):
                loss = base_loss + routed[degree] - 0.05 * (span - 1) + 0.003 * seed
                row = store.experiment("route", pair, [degree] * 2, {"scope": "per_layer", "span": span, "top_k": "all"}, seed,
                                       layer="all", loss=loss, block_loss=blocks_around(loss, 0.02), parameters_stored=200,
                                       flops_per_token=200.0 * span * 2, parameters_trained=64)
                store.add("routing", {"id": row["id"], "weight": np.full((blocks, 2 * span), 1 / (2 * span))})
            loss = base_loss - 0.15 + seeded(degree, seed) if degree else base_loss
            store.experiment("ensemble_probabilities", pair, [degree] * 2, {}, seed, loss=loss, block_loss=blocks_around(loss, 0.01),
                             weights=[0.5, 0.5], id=id_of("ensemble", degree, seed), flops_per_token=400.0)
            for metric, null in (("cka_linear", 0.4), ("cka_debiased", 0.0)):
                level = 1 - 0.7 * (degree / max(degrees)) ** 0.5 + seeded(degree, seed)
                matrix = np.array([[(level if degree or a == b else 1) - 0.1 * abs(a - b) - 0.02 * a * (degree > 0) for b in range(blocks)]
                                   for a in range(blocks)])
                common = dict(seed=seed, metric=metric, null_mean=null, null_p95=null + 0.05)
                store.comparison("code", degree, "math", degree, matrix, **common)
                if degree:
                    for model in pair:
                        store.comparison(model, degree, "base", 0, matrix + 0.02, **common)
                        for other in seeds:
                            if other > seed:
                                store.comparison(model, degree, model, degree, np.minimum(matrix + 0.2, 1), **{**common, "seed_b": other})
        for model in pair:
            store.add("training", {"model": model, "seed": seed, "loss": [2.0, 1.8, 1.7, 1.6 + 0.01 * seed],
                                   "learning_rate": [1e-3, 8e-4, 5e-4, 1e-4]})
    store.add("runs", {"started": 1.7e9, "ended": 1.7e9 + 60, "ranks": 3, "hosts": "node1", "version": "0.1.0", "outcome": "done"})
    return store


def rich(name="rich", seeds=(0, 1, 2), degrees=(0, 25, 100, 400)):
    """The quickstart's shape with everything else that figures ask for: references, rebasin, sparse spans, twins, the specialists' own
    texts, four specialists in all pairs. As noisy as a real store, from a fixed stream: nothing lies on a line, seeds disagree, similarity
    within a degree says little, one pair lacks a degree, and one setting was run at the last degree alone."""
    store = quickstart_like(name, seeds, degrees, members=4)
    draw = np.random.default_rng(11)
    hard = np.sin(np.arange(1, 65))

    def add(method, members, degree, level, seed, setting=None, target="doctest", fixed=False, **more):
        """One row; `fixed`: what no seed changes (the base, and whatever is made of it alone)."""
        stream = np.random.default_rng(zlib.crc32(repr((method, members, degree, setting, target, 0 if fixed else seed)).encode()))
        loss = level + (0 if fixed else stream.normal(0, 0.012))
        blocks = loss + 0.3 * hard + stream.normal(0, 0.03, 64)
        more.setdefault("id", f"{zlib.crc32(repr((method, members, degree, setting, target, 'any' if fixed else seed)).encode()):032x}")
        return store.experiment(method, members, [degree] * len(members), setting, seed, target=target, loss=loss, block_loss=list(blocks),
                                loss_select=loss + stream.normal(0, 0.006), **more)

    everyone = ["code", "math", "prose", "formal"]
    pairs = [[a, b] for i, a in enumerate(everyone) for b in everyone[i + 1:]]
    own_level = {"code": 1.6, "math": 1.8}
    for seed in seeds:
        for target in own_level:
            add("base", ["base"], 0, own_level[target] + 0.2, seed, target=target, fixed=True, weights=[1.0])
        for degree in degrees:
            at_0, far = degree == 0, (degree / 400) ** 0.5
            for model in ("prose", "formal", "code#1", "math#1"):
                add("specialist", [model], degree, 2.0 + 0.45 * far, seed, fixed=at_0, weights=[1.0])
            for target in own_level:
                for model in ("code", "math"):
                    add("specialist", [model], degree, own_level[target] + 0.2 + (-0.25 if model == target else 0.3) * far, seed, target=target,
                        fixed=at_0, weights=[1.0])
                add("average", ["code", "math"], degree, own_level[target] + 0.2 - 0.05 * far, seed, {"alpha": 0.5}, target, at_0, layer="all", weights=[0.5, 0.5])
                add("route", ["code", "math"], degree, own_level[target] - 0.1, seed, {"scope": "per_layer", "span": 1, "top_k": "all", "train_on": "target"},
                    target, layer="all", target_tokens=4096)
            for alpha in (0.25, 0.5, 0.75):
                add("rebasin", ["code", "math"], degree, 2.0 + 0.05 * far, seed, {"alpha": alpha}, fixed=at_0, layer="all", weights=[alpha, 1 - alpha])
            add("finetune_target", ["code", "math"], degree, 1.75, seed, {"learning_rate": 8e-5}, target_tokens=4096)
            add("joint", ["code", "math"], degree, 2.0 - 0.2 * far, seed, {"learning_rate": 8e-4})
            sparse = {"scope": "per_layer", "span": 2, "top_k": 2, "renormalise": True}
            add("route", ["code", "math"], degree, 1.95 - 0.2 * far, seed, sparse, layer="all", parameters_stored=200, flops_per_token=410.0, target_tokens=4096)
            add("route", ["code", "math", "code#1", "math#1"], degree, 1.93 - 0.25 * far, seed, {"scope": "per_layer", "span": 1, "top_k": "all"}, layer="all",
                parameters_stored=380, flops_per_token=800.0, target_tokens=4096)
            for pair in pairs:
                if pair == ["code", "math"] or (pair == ["prose", "formal"] and degree == 400):
                    continue
                add("interpolate_features", pair, degree, 2.0 + 0.1 * far, seed, {"alpha": 0.5, "site": "mlp"}, fixed=at_0, layer="all", weights=[0.5, 0.5])
                level = 1 - (0.3 + 0.4 * draw.random()) * far
                matrix = np.array([[level - 0.1 * abs(a - b) for b in range(3)] for a in range(3)])
                store.comparison(pair[0], degree, pair[1], degree, matrix, seed=seed)
        add("ties", ["code", "math"], degrees[-1], 1.5, seed, {"density": 0.2}, layer="all")  # best of its family, but at one degree alone
    return store
