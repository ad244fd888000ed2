"""Similarities of a whole sweep: what is compared, that the values are those of the features on disk, and that neither
ranks, nor what else is compared, nor how the matrix of comparisons is cut changes a bit."""
import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

import program
import world as worlds

FIGURES = ("value", "null_mean", "null_p95", "low", "high")
METRICS = ["cka_linear", "cka_debiased", {"name": "mutual_knn", "k": [10, 5]}, "procrustes"]
METRIC_NAMES = ["cka_linear", "cka_debiased", "mutual_knn", 'mutual_knn {"k":5}', "procrustes"]


def many_comparisons(world, name: str = "similar") -> dict:
    config = world.sweep(name)
    config["grid"]["method"] = [{"name": "average", "alpha": [0.5]}]
    config["similarity"].update(probe=["record", "code"], site=["residual", "mlp_output"], metrics=METRICS, layers="cross",
                                against=["pair", "base", "self", "seeds"], permutations=20)
    return config


def run(config, folder, ranks=0):
    file = worlds.write(config, folder)
    program.run_well(file, ranks=ranks)
    store = worlds.store_of(file, config)
    program.assert_all_done(store)
    return store


@pytest.fixture(scope="module")
def stores(world):
    config = many_comparisons(world)
    return {ranks: run(config, world.root / f"similar-{ranks}", ranks) for ranks in (1, 4)}


def comparisons(store) -> dict:
    """(a, degree, seed, b, degree, seed, metric, probe, site) -> figures, blocks x blocks."""
    data = program.columns(store, "similarity")
    names = {axis: program.names_of(store, axis) for axis in ("model", "metric", "corpus", "site")}
    rows = {}
    for row in range(len(data["id"])):
        key = (names["model"][data["model_a"][row]], int(data["degree_a"][row]), int(data["seed"][row]),
               names["model"][data["model_b"][row]], int(data["degree_b"][row]), int(data["seed_b"][row]),
               names["metric"][data["metric"][row]], names["corpus"][data["probe"][row]], names["site"][data["site"][row]])
        assert key not in rows
        rows[key] = {figure: data[figure][row] for figure in FIGURES}
    return rows


def same_bits(a, b) -> bool:
    return all(a[figure].tobytes() == b[figure].tobytes() for figure in FIGURES)


def test_one_and_four_ranks_store_the_same_bits(stores):
    program.assert_same_results(stores[1], stores[4])


def test_everything_that_was_asked_for_is_compared(stores):
    rows = comparisons(stores[1])
    # Per seed: 3 pairs, 2 x 2 with the base, 2 x 3 of themselves; and between the seeds 2 x 2.
    assert len(rows) == (2 * (3 + 4 + 6) + 4) * len(METRIC_NAMES) * 2 * 2
    assert sorted(program.names_of(stores[1], "metric")) == sorted(METRIC_NAMES)
    assert ("code", 10, 0, "code", 10, 1, "cka_linear", "record", "mlp_output") in rows
    for key, row in rows.items():
        for figure in FIGURES:
            assert row[figure].shape == (2, 2)
            assert np.isfinite(row[figure]).all(), (key, figure)
        assert (row["low"] <= row["value"]).all() and (row["value"] <= row["high"]).all()
    at_base = rows["code", 0, 0, "math", 0, 0, "cka_debiased", "record", "residual"]
    assert (np.diag(at_base["value"]) == 1).all()  # degree 0 is the base on both sides
    trained = rows["code", 20, 0, "base", 0, 0, "cka_debiased", "record", "residual"]
    assert (trained["value"] < 1).all()


def test_two_settings_of_a_metric_are_told_apart(stores):
    rows = comparisons(stores[1])
    pairs = [(row, rows[*key[:6], 'mutual_knn {"k":5}', *key[7:]]) for key, row in rows.items() if key[6] == "mutual_knn"]
    assert any((ten["value"] != five["value"]).any() for ten, five in pairs)
    for ten, five in pairs:
        assert (ten["null_mean"] > five["null_mean"]).all()  # k / (n - 1)
    program.run_well("verify", stores[1])


def read_features(path) -> dict:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + length])
    return {name: np.frombuffer(raw[8 + length:], np.float32, offset=entry["data_offsets"][0],
                                count=int(np.prod(entry["shape"]))).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def cka_linear(x, y):
    x, y = (z.astype(np.float64) - z.astype(np.float64).mean(0) for z in (x, y))
    return np.sum((y.T @ x) ** 2) / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_values_are_those_of_the_features_on_disk(stores):
    """Every matrix in the store is that of two of the representations, by NumPy; only which is which is not written there."""
    files = [read_features(path) for path in (stores[1].with_suffix(".d") / "cache" / "features").glob("*.safetensors")]
    assert len(files) >= 2 * 9  # two probes, the base and two degrees of two specialists under two seeds
    matrices = [np.array([[cka_linear(a[f"residual.{i}"], b[f"residual.{j}"]) for j in range(2)] for i in range(2)])
                for a in files for b in files if len(a["residual.0"]) == len(b["residual.0"])]
    rows = [row for key, row in comparisons(stores[1]).items() if key[6] == "cka_linear" and key[8] == "residual"]
    for row in rows:
        assert min(np.abs(row["value"] - matrix).max() for matrix in matrices) < 1e-10


def test_growing_and_reordering_the_sweep_changes_no_bit(world, stores):
    """More degrees, another specialist and other orders cut the matrix elsewhere; every old value comes out the same."""
    config = many_comparisons(world, "grown")
    config["corpus"] = world.corpora("prose", "math", "code", "record")
    config["specialist"] = [{"name": name, "corpus": name} for name in ("prose", "math", "code")]
    config["sweep"]["seeds"] = [1, 0]
    config["grid"].update(pairs=[["math", "prose"], ["code", "math"]], degrees=[20, 5, 0, 10])
    config["similarity"].update(probe=["code", "record"], metrics=METRICS[::-1], against=["seeds", "self", "base", "pair"])
    grown = comparisons(run(config, world.root / "grown", 3))
    small = comparisons(stores[1])
    assert len(grown) > 2 * len(small)
    kept = 0
    for key, row in small.items():
        a, b = key[:3], key[3:6]
        if key not in grown:  # the pair (a, b) of two degrees or seeds may be written (b, a)
            assert (*b, *a, *key[6:]) in grown
            continue
        assert same_bits(row, grown[key]), key
        kept += 1
    assert kept > 0.8 * len(small)


def test_a_similarity_that_is_not_defined_is_recorded_with_its_reason(world):
    """Three windows are too few for the unbiased forms: comparisons fail with the reason, merged rows say why it is missing."""
    config = world.sweep("few")
    config["grid"]["method"] = [{"name": "slerp", "alpha": [0.5]}, {"name": "average", "alpha": [0.5]}]
    config["similarity"].update(windows=3, metrics=["cka_linear", "cka_debiased"], after_merge=True)
    file = worlds.write(config, world.root / "few")
    result = program.run(file)
    assert result.code == 1, result
    store = worlds.store_of(file, config)
    for key, row in comparisons(store).items():
        assert np.isnan(row["value"]).all() == (key[6] == "cka_debiased")
    data = program.columns(store, "similarity")
    failed = data["status"] == program.FAILED
    assert failed.any() and all("needs at least 4" in message.decode() for message in data["message"][failed])
    data = program.columns(store, "experiments")
    methods = program.names_of(store, "method")
    merged = [row for row in range(len(data["id"])) if methods[data["method"][row]] in ("slerp", "average")]
    assert merged
    for row in merged:
        assert data["status"][row] == program.DONE and np.isnan(data["similarity_base"][row]).all()
        assert "needs at least 4" in json.loads(data["message"][row])["similarity"]


def test_like_blocks_have_the_values_of_the_full_matrix(world, stores):
    config = many_comparisons(world, "same")
    config["similarity"]["layers"] = "same"
    same, cross = comparisons(run(config, world.root / "same", 2)), comparisons(stores[1])
    assert same.keys() == cross.keys()
    for key, row in same.items():
        for figure in FIGURES:
            assert np.diag(row[figure]).tobytes() == np.diag(cross[key][figure]).tobytes(), key
            assert np.isnan(row[figure][~np.eye(2, dtype=bool)]).all()


def data_of(pid) -> int:
    """Bytes of memory that a process has asked for; of mapped files only what it may write."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(b"__asan_init" in Path(program.CMSWEEP).read_bytes(), reason="AddressSanitizer's shadow counts as data")
def test_a_representation_needs_no_memory_for_its_rows(world):
    """Token pooling over many windows, by a process that may ask for a fraction of what the features take."""
    config = world.sweep("rows")
    worlds.write_corpus(world.text / "much", "record", documents=200, size=6000)
    config["corpus"].append({"name": "much", "files": [world.text / "much" / "*"], "holdout": 0.6})
    config["sweep"]["seeds"], config["grid"]["degrees"] = [0], [20]
    config["similarity"].update(probe="much", windows="all", pooling="token", site=["residual", "mlp_output"], against=["base"])
    file = worlds.write(config, world.root / "rows")
    features = worlds.store_of(file, config).with_suffix(".d") / "cache" / "features"
    more = 16 << 20
    process = program.start(file, fault="event=task represent base at degree 0;signal=STOP")
    try:
        program.wait_for(lambda: program.state(process.pid) == "T", process)
        before = set(features.glob("*.safetensors"))
        limit = data_of(process.pid) + more
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
        os.kill(process.pid, signal.SIGCONT)
        program.wait_for(lambda: set(features.glob("*.safetensors")) > before, process)
    finally:
        program.kill(process.pid)
        process.communicate()
    assert all(written.stat().st_size > 6 * more for written in set(features.glob("*.safetensors")) - before)
