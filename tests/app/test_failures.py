"""Numeric failures: final for their rows, told once, and no reason to stop anything else."""
import json
import re
import shutil
import struct

import h5py
import pytest

import program
import world as worlds


def diverging(world) -> dict:
    """math's fine-tuning runs away to a loss that is no number; code's does not."""
    config = world.sweep("diverging")
    config["sweep"]["seeds"] = [0]
    config["specialist"][1].update(learning_rate=900.0, gradient_clip=1e9, trainable="all")
    return config


def names(store):
    """For every experiment: its members with their degrees, status, message."""
    data = program.columns(store, "experiments")
    models = program.names_of(store, "model")
    return [({models[code]: degree for code, degree in zip(data["model"][row], data["degree"][row]) if code >= 0}, data["status"][row],
             data["message"][row].decode()) for row in range(len(data["id"]))]


@pytest.fixture(scope="session", params=[0, 3], ids=["alone", "three_ranks"])
def failed(world, request):
    config = diverging(world)
    file = worlds.write(config, world.root / f"diverging-{request.param}")
    result = program.run(file, ranks=request.param)
    return file, worlds.store_of(file, config), result, request.param


def test_rows_that_depend_on_it_fail_and_the_others_are_done(failed):
    _, store, result, _ = failed
    assert result.code == program.SOME_FAILED, str(result)
    rows = names(store)
    for members, status, message in rows:
        broken = members.get("math", 0) > 0
        assert status == (program.FAILED if broken else program.DONE), f"{members}: {message}"
        if broken:
            assert message.startswith("not computed: "), message
    assert sum(status == program.FAILED for _, status, _ in rows) > 0
    assert any(members.get("code", 0) > 0 and status == program.DONE for members, status, _ in rows)


def test_the_trajectory_itself_says_what_happened(failed):
    _, store, _, _ = failed
    data = program.columns(store, "training")
    models = program.names_of(store, "model")
    for row, code in enumerate(data["model"]):
        if models[code] == "math":
            message = data["message"][row].decode()
            assert data["status"][row] == program.FAILED
            assert re.search(r"the (loss|gradient's norm) is -?(nan|inf) at step \d+", message), message
        else:
            assert data["status"][row] == program.DONE


def test_a_summary_ends_the_run(failed):
    _, store, result, _ = failed
    last = [line for line in result.err.splitlines() if "results failed" in line]
    assert len(last) == 1 and f"cmsweep report {store}" in last[0]
    report = program.run_well("report", store).out
    assert "Failures" in report and "math" in report.split("Failures")[1]


def test_failed_values_are_absent_not_zero(failed):
    _, store, _, _ = failed
    data = program.columns(store, "experiments")
    for row, status in enumerate(data["status"]):
        assert (data["loss"][row] != data["loss"][row]) == (status == program.FAILED)
    program.run_well("verify", store)


def test_a_rerun_does_not_try_again_and_still_tells(failed):
    file, store, _, ranks = failed
    before = program.digest(store)
    result = program.run(file, ranks=ranks)
    assert result.code == program.SOME_FAILED, str(result)
    assert "everything is done" in result.err and "failed" in result.err
    assert program.digest(store) == before


def test_ranks_agree_on_failures(world):
    """Which rows fail, and why, does not depend on who computes them."""
    config = diverging(world)
    stores = []
    for ranks in (0, 3):
        file = worlds.write(config, world.root / f"agree-{ranks}")
        assert program.run(file, ranks=ranks).code == program.SOME_FAILED
        stores.append(worlds.store_of(file, config))
    program.assert_same_results(*stores)


def test_a_method_that_fails_fails_alone(world):
    """A router trained at an absurd rate breaks down; the other rows of the same pair and degree do not."""
    config = world.sweep("router")
    config["sweep"]["seeds"] = [0]
    config["grid"]["method"][2].update(steps=60, learning_rate=[5e-3, 1000.0], router="mlp")
    config["grid"]["method"].append({"name": "learned_average", "steps": 30, "batch": 4, "learning_rate": 1000.0, "train_on": "target"})
    file = worlds.write(config, world.root / "router")
    result = program.run(file)
    store = worlds.store_of(file, config)
    data = program.columns(store, "experiments")
    methods = program.names_of(store, "method")
    with h5py.File(store, "r") as opened:
        rates = opened["axes/setting/learning_rate"][:]
    for row, status in enumerate(data["status"]):
        absurd = rates[data["setting"][row]] == 1000
        if not absurd:
            assert status == program.DONE, f"{methods[data['method'][row]]}: {data['message'][row]}"
        elif status == program.FAILED:
            assert data["message"][row] != b""
    failures = [row for row, status in enumerate(data["status"]) if status == program.FAILED]
    assert failures, "nothing failed: " + str(sorted(set(data["loss"])))
    assert result.code == program.SOME_FAILED


def test_a_singular_gram_matrix_is_that_rows_message(world):
    """32 tokens cannot span the 96 inputs of a map; with the off-diagonals damped they need not."""
    config = world.sweep("singular")
    config["sweep"]["seeds"] = [0]
    config["grid"]["degrees"] = [10]
    config["grid"]["method"] = [{"name": "regmean", "windows": 1, "off_diagonal": [1.0, 0.9]}, {"name": "average"}]
    file = worlds.write(config, world.root / "singular")
    assert program.run(file).code == program.SOME_FAILED
    store = worlds.store_of(file, config)
    data = program.columns(store, "experiments")
    with h5py.File(store, "r") as opened:
        undamped = opened["axes/setting/off_diagonal"][:] == 1
    failed = [row for row, status in enumerate(data["status"]) if status == program.FAILED]
    assert [bool(undamped[data["setting"][row]]) for row in failed] == [True]
    message = data["message"][failed[0]].decode()
    assert re.fullmatch(r"regmean: the Gram matrix of the inputs of h\.\d\.\S+ is singular; use more windows or an off_diagonal below 1", message), message
    assert all(status == program.DONE for row, status in enumerate(data["status"]) if row not in failed)


def test_a_checkpoint_with_a_value_that_is_no_number_fails_what_it_is_part_of(world):
    config = world.sweep("no-number")
    config["sweep"]["seeds"] = [0]
    folder = world.root / "no-number"
    shutil.copytree(world.base, folder / "broken")
    path = folder / "broken" / "model.safetensors"
    content = bytearray(path.read_bytes())
    length, = struct.unpack("<Q", content[:8])
    start = 8 + length + json.loads(content[8:8 + length])["transformer.h.0.mlp.c_fc.weight"]["data_offsets"][0]
    content[start:start + 4] = struct.pack("<f", float("nan"))
    path.write_bytes(content)
    config["specialist"][1] = {"name": "math", "checkpoints": {"10": folder / "broken"}}
    # Each of these would leave out, or outvote, what it cannot compare.
    config["grid"].update(degrees=[10], method=[{"name": name} for name in ("average", "magmax", "breadcrumbs", "dare", "ties", "ensemble_logits")])
    file = worlds.write(config, folder)
    assert program.run(file).code == program.SOME_FAILED
    rows = names(worlds.store_of(file, config))
    assert len(rows) == 6 + 3
    for members, status, message in rows:
        assert status == (program.FAILED if "math" in members else program.DONE), f"{members}: {message}"
        assert ("finite" in message) == (status == program.FAILED), message
