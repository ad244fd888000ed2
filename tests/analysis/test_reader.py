"""The reader, on stores with known contents."""
import ast
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import cmsweep_reader
import real_store
from sweep import Sweep
from synthetic_store import FAILED, StoreBuilder


@pytest.fixture
def small(tmp_path):
    """Two members or three, a failed row, a pending one, one out of plan, one that a crash left without its commit word."""
    store = StoreBuilder("small", blocks=2, members=3)
    store.experiment("base", ["base"], [0], loss=2.0)
    store.experiment("average", ["code", "math"], [100, 100], {"alpha": 0.25, "weights": None}, seed=3, layer="all", loss=1.5,
                     weights=[0.25, 0.75], block_loss=[1.0, 2.0], similarity_member=np.array([[0.9, 0.8], [0.7, 0.6]]),
                     similarity_base=np.array([0.5, 0.4]))
    store.experiment("route", ["code", "math", "prose"], [100, 400, 100], {"span": 2, "top_k": "all", "target": "x"}, layer="0-1", loss=1.25)
    store.experiment("slerp", ["code", "math"], [25, 25], {"alpha": 0.5}, status=FAILED, message="the loss is not finite é", loss=np.nan, tokens=-1)
    store.experiment("slerp", ["code", "math"], [50, 50], {"alpha": 0.5}, status=0)
    store.experiment("slerp", ["code", "math"], [75, 75], {"alpha": 0.5}, commit=0)
    store.experiment("slerp", ["code", "math"], [80, 80], {"alpha": 0.5}, commit=1)  # no cmsweep commit word
    store.experiment("slerp", ["code", "math"], [99, 99], {"alpha": 0.5}, in_plan=0)
    store.comparison("code", 100, "math", 100, [[0.9, 0.2], [0.3, 0.8]], seed=3, metric="cka_debiased", null_p95=0.05)
    store.comparison("code", 100, "math", 100, [[0.95, 0.2], [0.3, 0.85]], seed=3, metric="cka_linear")
    return store.write(tmp_path / "small.h5")


def test_only_committed_rows_of_the_plan_are_given(small):
    df = cmsweep_reader.experiments(small)
    assert list(df["method"]) == ["base", "average", "route"]
    assert set(df["status"]) == {"done"}


def test_failed_rows_and_rows_outside_the_plan_come_on_request(small):
    df = cmsweep_reader.experiments(small, failed=True)
    failed = df[df["status"] == "failed"]
    assert list(failed["degree"]) == [25]
    assert failed["message"].item() == "the loss is not finite é"
    assert np.isnan(failed["loss"].item()) and failed["tokens"].isna().item()  # padding: NaN, and -1 in integers
    assert 99 in set(cmsweep_reader.experiments(small, outside_plan=True)["degree"])


def test_codes_become_names_in_categories(small):
    df = cmsweep_reader.experiments(small)
    row = df[df["method"] == "average"].iloc[0]
    assert (row["pair"], row["target"], row["layer"], row["family"]) == ("code+math", "doctest", "all", "parameter")
    assert (row["member_1"], row["member_2"], row["seed"]) == ("code", "math", 3)
    assert row["loss"] == 1.5 and row["weight_1"] == 0.25
    for column in ("sweep", "pair", "method", "setting", "target", "layer", "status", "family", "member_1"):
        assert df[column].dtype == "category", column


def test_absent_members_are_missing_and_unlike_degrees_have_no_common_one(small):
    df = cmsweep_reader.experiments(small).set_index("method")
    assert df.loc["average", "degree"] == 100
    assert pd.isna(df.loc["average", "member_3"]) and pd.isna(df.loc["average", "degree_3"]) and np.isnan(df.loc["average", "weight_3"])
    assert [df.loc["route", f"degree_{m}"] for m in (1, 2, 3)] == [100, 400, 100]
    assert pd.isna(df.loc["route", "degree"])


def test_parameters_are_columns_and_never_hide_others(small):
    df = cmsweep_reader.experiments(small).set_index("method")
    assert df.loc["average", "alpha"] == 0.25 and np.isnan(df.loc["route", "alpha"])
    assert df.loc["route", "span"] == 2 and df.loc["route", "top_k"] == "all"
    assert df.loc["route", "target"] == "doctest" and df.loc["route", "parameter_target"] == "x"


def test_units_and_meanings_are_in_attrs(small):
    attributes = cmsweep_reader.experiments(small).attrs
    assert attributes["units"]["loss"] == "nat" and attributes["units"]["degree_2"] == "step" and attributes["units"]["seconds"] == "s"
    assert attributes["descriptions"]["loss"] == "what loss means"


def test_block_losses_and_similarity_after_merge_go_with_the_rows(small):
    df = cmsweep_reader.experiments(small)
    row = df.index[df["method"] == "average"][0]
    losses = cmsweep_reader.block_losses(small)
    assert losses.shape == (3, 64) and list(losses.index) == list(df.index)
    assert list(losses.loc[row, :1]) == [1.0, 2.0] and losses.loc[row, 2:].isna().all()
    after = cmsweep_reader.similarity_after_merge(small).sel(row=row)
    assert after["similarity_member"].sel(member=2).values.tolist() == [0.7, 0.6]
    assert np.isnan(after["similarity_member"].sel(member=3).values).all()


def test_notes_of_methods_are_columns(tmp_path):
    store = StoreBuilder("notes", blocks=1)
    store.experiment("task_arithmetic", ["code", "math"], [25, 25], {"lambda": 0.3}, message='{"tau_norm":[0.5,0.25],"tau_cosine":0.125}')
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5})
    store.experiment("slerp", ["code", "math"], [25, 25], {"alpha": 0.5}, status=FAILED, message="{not JSON} of a failed row", loss=np.nan)
    df = cmsweep_reader.experiments(store.write(tmp_path / "notes.h5"), failed=True)
    notes = cmsweep_reader.notes(df[::-1])
    assert list(notes.index) == [2, 1, 0] and list(notes.columns) == ["tau_cosine", "tau_norm"]
    assert notes.loc[0, "tau_norm"] == [0.5, 0.25] and notes.loc[0, "tau_cosine"] == 0.125 and notes.loc[[1, 2]].isna().all(axis=None)
    assert cmsweep_reader.notes(df[df["method"] == "average"]).shape == (1, 0)


def test_similarity_is_labelled(small):
    data = cmsweep_reader.similarity(small, "cka_debiased")
    assert data["value"].dims == ("comparison", "degree", "seed", "layer_a", "layer_b")
    one = data.sel(comparison="code ~ math", degree=100, seed=3)
    assert one["value"].sel(layer_a=1, layer_b=0).item() == 0.3  # rows are the first model's blocks
    assert one["low"].sel(layer_a=1, layer_b=0).item() == pytest.approx(0.28)
    assert one["null_p95"].values.max() == 0.05
    assert one["model_a"].item() == "code" and data["value"].attrs["units"] == "1"


def test_two_settings_of_a_metric_are_two_arrays(tmp_path):
    store = StoreBuilder("settings", blocks=1)
    for metric, value in (("mutual_knn", 0.6), ('mutual_knn {"k":5}', 0.4)):
        store.comparison("code", 100, "math", 100, [[value]], metric=metric)
    path = store.write(tmp_path / "settings.h5")
    assert cmsweep_reader.similarity(path, "mutual_knn")["value"].item() == 0.6
    assert cmsweep_reader.similarity(path, 'mutual_knn {"k":5}')["value"].item() == 0.4
    with pytest.raises(KeyError, match='mutual_knn {"k":5}'):
        cmsweep_reader.similarity(path, 'mutual_knn {"k":7}')


def test_similarity_names_what_there_is_when_nothing_fits(small):
    with pytest.raises(KeyError, match="cka_debiased, cka_linear"):
        cmsweep_reader.similarity(small, "rsa")
    with pytest.raises(KeyError, match="against = 'base'.*pair"):
        cmsweep_reader.similarity(small, "cka_linear", "base")
    with pytest.raises(ValueError, match="expected one of pair, base, self, seeds"):
        cmsweep_reader.similarity(small, "cka_linear", "nobody")


def test_every_kind_of_comparison_has_its_axes(tmp_path):
    store = StoreBuilder(blocks=1)
    store.comparison("code", 100, "math", 400, [[0.1]], probe="prose")
    store.comparison("code", 100, "code", 400, [[0.2]])
    store.comparison("code", 100, "code", 100, [[0.3]], seed=0, seed_b=2)
    store.comparison("code", 100, "base", 0, [[0.4]])
    store.comparison("code", 100, "code#1", 100, [[0.5]])
    path = store.write(tmp_path / "kinds.h5")
    read = lambda against, **where: cmsweep_reader.similarity(path, "cka_debiased", against, **where)["value"]
    assert read("pair", probe="prose").sel(degree=100, degree_b=400).item() == 0.1
    assert read("self", probe="doctest").sel(degree=100, degree_b=400).item() == 0.2
    assert read("seeds", probe="doctest").sel(seed=0, seed_b=2).item() == 0.3
    assert read("base", probe="doctest").sel(comparison="code ~ base").item() == 0.4
    assert read("pair", probe="doctest").sel(comparison="code ~ code#1").item() == 0.5  # a twin is another model
    with pytest.raises(KeyError, match="several probes"):
        read("pair")


def test_comparisons_that_were_not_made_are_nan(tmp_path):
    store = StoreBuilder(blocks=1)
    store.comparison("code", 25, "math", 25, [[0.9]], seed=0)
    store.comparison("code", 50, "math", 50, [[0.8]], seed=1)
    values = cmsweep_reader.similarity(store.write(tmp_path / "holes.h5"), "cka_debiased")["value"].squeeze()
    assert values.sel(degree=25, seed=0).item() == 0.9 and np.isnan(values.sel(degree=25, seed=1).item())


def test_training_routing_and_runs(synthetic):
    curve = cmsweep_reader.training(synthetic).query("model == 'math' and seed == 2")
    assert list(curve["step"]) == [0, 1, 2, 3]  # the padding up to the longest trajectory is gone
    assert curve["loss"].tolist() == [2.0, 1.8, 1.7, 1.62]
    weights = cmsweep_reader.routing(synthetic)
    assert weights.query("span == 1")["weight"].unique().tolist() == [0.5]
    one = weights.query("span == 2 and seed == 1 and degree == 100")
    assert len(one) == 3 * 4 and one.groupby("block")["weight"].sum().tolist() == [1.0, 1.0, 1.0]
    runs = cmsweep_reader.runs(synthetic)
    assert len(runs) == 1  # free slots are left out
    assert runs["ranks"].item() == 3 and runs["ended"].item() - runs["started"].item() == pd.Timedelta(seconds=60)


def test_several_stores_are_one_and_shared_rows_count_once(tmp_path):
    one, two = StoreBuilder("one", blocks=1), StoreBuilder("two", blocks=2)
    for store in (one, two):
        store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, loss=1.0)
        store.comparison("code", 25, "math", 25, np.full((store.sizes["block"],) * 2, 0.5))
    two.experiment("average", ["code", "prose"], [25, 25], {"alpha": 0.5}, loss=3.0, block_loss=[3.0])
    two.comparison("code", 25, "prose", 25, [[0.7, 0.6], [0.5, 0.4]])
    paths = [one.write(tmp_path / "one.h5"), two.write(tmp_path / "two.h5")]
    df = cmsweep_reader.experiments(paths)
    assert list(df["pair"]) == ["code+math", "code+prose"] and list(df["sweep"]) == ["one", "two"]
    assert df["pair"].dtype == "category"
    assert cmsweep_reader.block_losses(paths).iloc[1, 0] == 3.0
    data = cmsweep_reader.similarity(paths, "cka_debiased")["value"]
    assert list(data["comparison"].values) == ["code ~ math", "code ~ prose"]
    assert np.isnan(data.sel(comparison="code ~ math", layer_a=1, layer_b=1)).all()


def test_stores_with_other_blocks_targets_metrics_and_members_are_one(tmp_path):
    one, two = StoreBuilder("one", blocks=1, members=2, experts=2), StoreBuilder("two", blocks=3, members=3, experts=3)
    one.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, weights=[0.5, 0.5], similarity_base=np.array([0.9]),
                   similarity_member=np.array([[0.8], [0.7]]))
    two.experiment("average", ["code", "math", "law"], [25, 25, 50], {"weights": None}, target="contracts", weights=[0.2, 0.3, 0.5],
                   similarity_base=np.array([0.6, 0.5, 0.4]), similarity_member=np.full((3, 3), 0.3))
    one.comparison("code", 25, "math", 25, [[0.5]], metric="cka_linear")
    two.comparison("code", 25, "math", 25, np.full((3, 3), 0.4), metric="rsa")
    for store, members in ((one, ["code", "math"]), (two, ["code", "math", "law"])):
        row = store.experiment("route", members, [25] * len(members), {"span": 1}, layer="all")
        store.add("routing", {"id": row["id"], "weight": np.full((store.sizes["block"], len(members)), 1 / len(members))})
        store.add("training", {"model": members[-1], "seed": 0, "loss": [2.0, 1.0], "learning_rate": [1.0, 0.5]})
        store.add("runs", {"started": 1.7e9, "ended": 1.7e9 + 60, "ranks": 3, "hosts": "n", "version": "0.1.0", "outcome": "done"})
    paths = [one.write(tmp_path / "one.h5"), two.write(tmp_path / "two.h5")]
    df = cmsweep_reader.experiments(paths)
    assert list(df["target"]) == ["doctest", "doctest", "contracts", "doctest"]
    assert df["member_3"].isna().tolist() == [True, True, False, False] and df["degree_3"].isna().tolist() == [True, True, False, False]
    assert df.loc[2, "weight_3"] == 0.5 and df.loc[2, "degree_3"] == 50 and pd.isna(df.loc[2, "degree"]) and df.loc[0, "degree"] == 25
    after = cmsweep_reader.similarity_after_merge(paths)
    assert dict(after.sizes) == {"row": 4, "member": 3, "block": 3}
    assert after["similarity_base"].values[0].tolist()[:1] == [0.9] and np.isnan(after["similarity_base"].values[0, 1:]).all()
    assert cmsweep_reader.similarity(paths, "cka_linear")["value"].sel(layer_a=0, layer_b=0).item() == 0.5
    assert cmsweep_reader.similarity(paths, "rsa")["value"].sel(layer_a=2, layer_b=0).item() == 0.4
    assert cmsweep_reader.routing(paths).groupby("pair", observed=True).size().to_dict() == {"code+math": 2, "code+math+law": 9}
    assert cmsweep_reader.training(paths).groupby("model", observed=True).size().to_dict() == {"math": 2, "law": 2}
    assert list(cmsweep_reader.runs(paths)["sweep"]) == ["one", "two"]
    for frame, columns in ((df, ("sweep", "pair", "member_3")), (cmsweep_reader.routing(paths), ("sweep", "pair", "target", "setting")),
                           (cmsweep_reader.training(paths), ("sweep", "model")), (cmsweep_reader.runs(paths), ("sweep",))):
        for column in columns:
            assert frame[column].dtype == "category", column


def test_models_that_differ_in_two_stores_are_never_mixed_silently(tmp_path):
    paths = []
    for name, value in (("one", 0.9), ("two", 0.1)):
        store = StoreBuilder(name, blocks=1)
        store.comparison("code", 25, "math", 25, [[value]], id=f"{name:0>32}")
        store.comparison("code", 25, "base", 0, [[0.5]], id="c" * 32)  # the same computation in both
        paths.append(store.write(tmp_path / f"{name}.h5"))
    assert list(cmsweep_reader.comparisons(paths)["sweep"].values) == ["one", "one", "two"]
    assert cmsweep_reader.similarity(paths, "cka_debiased", "base")["value"].item() == 0.5
    with pytest.raises(cmsweep_reader.StoreError, match="cka_debiased of code at degree 25 with math at degree 25 has different results in the sweeps one, two"):
        cmsweep_reader.similarity(paths, "cka_debiased")


def test_a_store_without_any_result_reads_as_empty(tmp_path):
    store = StoreBuilder("new", blocks=2)
    store.experiment("average", ["code", "math"], [25, 25], {"alpha": 0.5}, status=0)
    path = store.write(tmp_path / "new.h5")
    df, losses = cmsweep_reader.experiments_and_block_losses(path)
    assert len(df) == len(losses) == 0 and {"loss", "pair", "alpha", "degree"} <= set(df.columns) and df["pair"].dtype == "category"
    assert cmsweep_reader.comparisons(path).sizes["row"] == 0
    for frame in (cmsweep_reader.training(path), cmsweep_reader.routing(path), cmsweep_reader.runs(path)):
        assert len(frame) == 0 and len(frame.columns) > 5
    with pytest.raises(KeyError, match="no committed comparison with metric = 'cka_debiased'; there are: none"):
        cmsweep_reader.similarity(path, "cka_debiased")


def test_training_routing_and_runs_carry_units_and_meanings(synthetic):
    for frame, column, unit in ((cmsweep_reader.training(synthetic), "loss", "nat"), (cmsweep_reader.routing(synthetic), "weight", "1"),
                                (cmsweep_reader.runs(synthetic), "ranks", "1")):
        assert frame.attrs["units"][column] == unit and frame.attrs["descriptions"][column] == f"what {column} means"


def test_another_schema_is_refused_naming_both(tmp_path):
    path = StoreBuilder(schema=7).write(tmp_path / "newer.h5")
    with pytest.raises(cmsweep_reader.StoreError, match=r"newer\.h5: store schema 7, written by cmsweep 0\.1\.0; this reader reads schema 1"):
        cmsweep_reader.experiments(path)


def test_files_that_are_no_stores_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    h5py.File(tmp_path / "other.h5", "w").close()
    for name, message in (("none.h5", "no such store"), ("text.h5", "cannot be opened as an HDF5 file"), ("other.h5", "no cmsweep store")):
        with pytest.raises(cmsweep_reader.StoreError, match=message):
            cmsweep_reader.experiments(tmp_path / name)


def test_a_store_that_is_locked_for_writing_says_how_to_go_on(small):
    with open(small, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a program that opened it for writing
        with pytest.raises(cmsweep_reader.StoreError, match="a program has it open for writing: close it there.*HDF5_USE_FILE_LOCKING=FALSE"):
            cmsweep_reader.experiments(small)
    assert len(cmsweep_reader.experiments(small)) == 3


def test_a_row_that_is_rewritten_while_it_is_read_is_left_out(small, monkeypatch):
    real = cmsweep_reader._decoded
    state = {"done": False}

    def meddle(array):
        if not state["done"]:  # a retried row: its commit word is cleared between the two times the reader looks
            state["done"] = True
            with open(small, "r+b") as file:
                with h5py.File(small, "r") as store:
                    offset = store["experiments/commit"].id.get_offset() + 8
                file.seek(offset)
                file.write(bytes(8))
        return real(array)

    monkeypatch.setattr(cmsweep_reader, "_decoded", meddle)
    assert "average" not in set(cmsweep_reader.experiments(small)["method"])


def everything(path):
    """All that the reader gives, as comparable values by id."""
    df, losses = cmsweep_reader.experiments_and_block_losses(path)
    rows = {(*row[["id", "seed", "pair", "target"]],): (row["loss"], row["loss_select"], losses.loc[i].dropna().tolist()) for i, row in df.iterrows()}
    data = cmsweep_reader.comparisons(path)
    return {"experiments": rows,
            "similarity": {id: values.tolist() for id, values in zip(data["id"].values, data["value"].values)},
            "training": {id: group["loss"].tolist() for id, group in cmsweep_reader.training(path).groupby("id")},
            "routing": {id: group["weight"].tolist() for id, group in cmsweep_reader.routing(path).groupby("id")}}


def test_a_compact_copy_reads_alike(real, tmp_path):
    """As STORE_FORMAT.md says to make one."""
    subprocess.run(["h5repack", "-m", "1024", "-f", "GZIP=6", real, tmp_path / "small.h5"], check=True)
    with h5py.File(tmp_path / "small.h5") as file:
        assert file["experiments/block_loss"].compression == "gzip"
    assert everything(tmp_path / "small.h5") == everything(real)


VALUES = {"experiments": "loss", "similarity": "value", "training": "loss", "routing": "weight"}


def written(dataset):
    """For every row: is any value there?"""
    return np.isfinite(dataset[:].reshape(len(dataset), -1)).any(axis=1)


def test_a_running_sweep_in_the_middle_of_a_commit_is_read(real, tmp_path):
    """The program, enlarging a finished sweep by a seed, stops itself where values of new rows are in the file but not committed."""
    finished = everything(real)
    shutil.copytree(real.parent, tmp_path / "sweep")
    config = tmp_path / "sweep" / "tiny.toml"
    config.write_text(config.read_text().replace("seeds = [0, 1]", "seeds = [0, 1, 2]"))
    store = config.with_suffix(".h5")
    running = subprocess.Popen([real_store.program(), config], stdout=subprocess.DEVNULL,
                               env={**real_store.environment(), "CMSWEEP_FAULT": "event=commit.payload;signal=STOP"})
    try:
        assert os.WIFSTOPPED(os.waitpid(running.pid, os.WUNTRACED)[1])  # it is there, and holds the store
        with h5py.File(store) as file:
            half = [table for table, column in VALUES.items() if written(file[table][column])[file[table]["commit"][:] == 0].any()]
        assert half, "no table has values without a commit word: the test no longer stops inside a commit"
        seen = everything(store)
        of_new_seed = [key for key in seen["experiments"] if key[1] == 2]  # degree 0 and the base: computed already, for all seeds
        assert of_new_seed and {key[0] for key in of_new_seed} <= {key[0] for key in finished["experiments"]}
        for key in of_new_seed:
            del seen["experiments"][key]
        assert seen == finished
        assert pd.isna(cmsweep_reader.runs(store)["ended"].iloc[-1])
        assert Sweep(store).degrees("code+math", "doctest") == [0, 4, 8]
    finally:
        running.send_signal(signal.SIGCONT)
        assert running.wait(timeout=120) == 0
    grown = everything(store)
    for table, rows in finished.items():
        assert rows.items() <= grown[table].items() and len(rows) < len(grown[table]), table


def code_of(path):
    """The Python of a module or a notebook."""
    if path.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code")
    return path.read_text()


def test_nothing_else_knows_the_format():
    """No module or notebook of analysis/ opens HDF5 itself, or names a place in the file."""
    folder = real_store.ROOT / "analysis"
    files = [p for p in (*folder.rglob("*.py"), *folder.rglob("*.ipynb")) if p.name != "cmsweep_reader.py" and ".ipynb_checkpoints" not in p.parts]
    assert len(files) > 10
    paths = re.compile(r"/?(experiments|similarity|training|routing|runs|axes|environment)/\w+")
    for path in files:
        for node in ast.walk(ast.parse(code_of(path))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not [n for n in names if n.split(".")[0] in ("h5py", "tables", "h5netcdf", "netCDF4")], path
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not paths.fullmatch(node.value) and node.value not in ("h5netcdf", "netcdf4"), f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("open_dataset", "open_datatree", "read_hdf"), f"{path}:{node.lineno}"


def test_plain_pandas_and_xarray_open_the_groups(synthetic):
    with h5py.File(synthetic) as file:
        frame = pd.DataFrame({name: d[:] for name, d in file["experiments"].items() if d.ndim == 1})
        assert len(frame) == len(cmsweep_reader.experiments(synthetic))
    with xr.open_dataset(synthetic, group="experiments", engine="h5netcdf") as data:
        assert data["block_loss"].dims == ("row", "loss_block") and data["loss"].attrs["units"] == "nat"


def test_the_real_store_reads(real):
    df = cmsweep_reader.experiments(real)
    assert {"specialist", "base", "average", "interpolate_features", "route", "ensemble_probabilities"} <= set(df["method"])
    assert "unknown" not in set(df["family"])
    assert df["loss"].between(0, 8).all() and df["id"].str.fullmatch("[0-9a-f]{32}").all()
    assert (cmsweep_reader.block_losses(real).mean(axis=1) - df["loss"]).abs().max() < 0.1
    base = df[df["method"] == "base"]["loss"].unique()
    assert len(base) == 1 and (df[(df["method"] == "specialist") & (df["degree"] == 0)]["loss"] == base[0]).all()
    value = cmsweep_reader.similarity(real, "cka_debiased")["value"].sel(degree=0).isel(comparison=0, seed=0).values
    assert np.diag(value) == pytest.approx(1, abs=1e-9)  # two specialists at degree 0 are the base
    weights = cmsweep_reader.routing(real).groupby(["id", "seed", "block"])["weight"].sum()
    assert weights.to_numpy() == pytest.approx(1, abs=1e-5)  # float32 softmax, averaged
