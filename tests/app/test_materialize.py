"""`cmsweep materialize`: what it writes is the model that was evaluated."""
import json
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest

import program
import world as worlds


def sweep(world, tmp_path, **grid):
    config = world.sweep("merges")
    config["sweep"]["seeds"] = [0]
    config["grid"]["degrees"] = [10]
    config["grid"]["method"] = [{"name": "average", "alpha": [0.25]}, {"name": "dare"}, {"name": "fisher", "windows": 3},
                                {"name": "ensemble_logits"}, {"name": "route", "steps": 0}]
    config["grid"].update(grid)
    file = worlds.write(config, tmp_path)
    program.run_well(file)
    return config, file, worlds.store_of(file, config)


def rows(store):
    """(method, model names) -> (id, loss on test)"""
    table = program.columns(store, "experiments")
    methods, models = program.names_of(store, "method"), program.names_of(store, "model")
    return {(methods[table["method"][i]], *[models[code] for code in table["model"][i] if code >= 0]):
            (table["id"][i].decode(), table["loss"][i]) for i in range(len(table["id"]))}


def loss_of_checkpoint(world, tmp_path, folder):
    """The loss of the base row of another sweep whose base this checkpoint is."""
    config = world.sweep("reloaded")
    config["sweep"].update(output="again/" + folder.name, seeds=[0])
    config["model"]["checkpoint"] = folder
    config["grid"].update(degrees=[0], method=[{"name": "average"}])
    file = worlds.write(config, tmp_path, folder.name + ".toml")
    program.run_well(file)
    return rows(worlds.store_of(file, config))[("base", "base")][1]


@pytest.fixture(scope="module")
def merged(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("merged")
    return folder, *sweep(world, folder)


def test_reloads_to_the_same_loss(world, merged, tmp_path):
    _, _, _, store = merged
    found = rows(store)
    for key in [("average", "code", "math"), ("dare", "code", "math"), ("fisher", "code", "math"), ("specialist", "code"), ("base", "base")]:
        row, loss = found[key]
        folder = tmp_path / key[0]
        program.run_well("materialize", store, row, "-o", folder)
        assert {"config.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
        assert loss_of_checkpoint(world, tmp_path, folder) == loss, key
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", key[0] + "."))] == [key[0] + ".toml"]
    assert len({loss for _, loss in found.values()}) > 5, "the losses would differ if another model had been written"


def test_blocks_of_the_host_are_written_too(world, tmp_path):
    _, _, store = sweep(world, tmp_path, layers=["1"], host="base", method=[{"name": "average"}])
    row, loss = rows(store)[("average", "code", "math")]
    folder = tmp_path / "new" / "one-block"
    program.run_well("materialize", store, row, "-o", f"{folder}/")
    assert [path.name for path in folder.parent.iterdir()] == ["one-block"]
    assert loss_of_checkpoint(world, tmp_path, folder) == loss


def test_similarity_after_merging_is_that_of_the_written_model(world, tmp_path):
    """Measured by default, and on the merged model's own forward: a sweep that loads the written model as a specialist finds the same."""
    config = world.sweep("after")
    config["sweep"]["seeds"] = [0]
    config["grid"].update(degrees=[10], layers=["all", "1"], method=[{"name": "average"}])
    del config["similarity"]["after_merge"]
    file = worlds.write(config, tmp_path)
    program.run_well(file)
    store = worlds.store_of(file, config)
    data = program.columns(store, "experiments")
    methods, layers = program.names_of(store, "method"), program.names_of(store, "layer")
    merges = {layers[data["layer"][row]]: row for row in range(len(data["id"])) if methods[data["method"][row]] == "average"}
    assert set(merges) == {"all", "1"}
    for layer, row in merges.items():
        folder = tmp_path / f"merged-{layer}"
        program.run_well("materialize", store, data["id"][row].decode(), "-o", folder)
        again = world.sweep("again")
        again["sweep"].update(output=f"again/{layer}", seeds=[0])
        again["specialist"].append({"name": "merged", "checkpoints": {"10": folder}})
        again["grid"].update(degrees=[10], pairs=[["code", "merged"], ["math", "merged"]], method=[{"name": "average"}])
        again["similarity"].update(against=["pair", "base"], layers="same")
        again_file = worlds.write(again, tmp_path, f"again-{layer}.toml")
        program.run_well(again_file)
        found = {}
        other = worlds.store_of(again_file, again)
        compared, models = program.columns(other, "similarity"), program.names_of(other, "model")
        for comparison in range(len(compared["id"])):
            pair = frozenset((models[compared["model_a"][comparison]], models[compared["model_b"][comparison]]))
            found[pair] = np.diagonal(compared["value"][comparison])
        for member, name in enumerate(("code", "math")):
            np.testing.assert_allclose(data["similarity_member"][row][member], found[frozenset(("merged", name))], rtol=0, atol=1e-12)
        np.testing.assert_allclose(data["similarity_base"][row], found[frozenset(("merged", "base"))], rtol=0, atol=1e-12)
        assert np.all(found[frozenset(("merged", "base"))][1:] < 1)


def test_a_name_may_be_cut_short_and_the_sweep_may_have_moved(world, tmp_path):
    config, file, store = sweep(world, tmp_path / "before")
    row, loss = rows(store)[("average", "code", "math")]
    (tmp_path / "before").rename(tmp_path / "after")
    store = tmp_path / "after" / store.relative_to(tmp_path / "before")
    folder = tmp_path / "moved"
    program.run_well("materialize", store, row[:12], "-o", folder, "--config", tmp_path / "after" / file.name)
    assert loss_of_checkpoint(world, tmp_path, folder) == loss


def test_text_is_read_where_the_store_has_moved(world, tmp_path):
    """Without its cache, which is written anew beside the store, not where the config puts the output."""
    config, file, store = sweep(world, tmp_path / "before", method=[{"name": "fisher", "windows": 3}])
    row, loss = rows(store)[("fisher", "code", "math")]
    store.parent.rename(tmp_path / "elsewhere")
    store = tmp_path / "elsewhere" / store.name
    shutil.rmtree(store.with_suffix(".d") / "cache")
    folder = tmp_path / "moved"
    program.run_well("materialize", store, row, "-o", folder)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert loss_of_checkpoint(world, tmp_path, folder) == loss


def test_touches_nothing_that_it_did_not_make(merged, tmp_path):
    _, _, _, store = merged
    row = rows(store)[("average", "code", "math")][0]
    folder, other = tmp_path / "model", tmp_path / "model.part"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    before = program.snapshot(tmp_path)
    for fault in ("event=safetensors.body;signal=throw", "event=file.rename;at=2;signal=throw"):  # in the first file, in the second
        result = program.run("materialize", store, row, "-o", folder, fault=fault)
        assert result.code != 0 and "fault on purpose" in result.err, str(result)
        assert program.snapshot(tmp_path) == before and list(tmp_path.iterdir()) == [other]
    program.run_well("materialize", store, row, "-o", folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.part"]
    assert [(path.name, path.read_text()) for path in other.iterdir()] == [("notes.txt", "mine")]


def test_two_calls_for_one_folder_leave_one_whole_model(merged, tmp_path):
    """The first stops in the middle of its files until the second, of another row, is done."""
    _, _, _, store = merged
    found = rows(store)
    folder, alone = tmp_path / "model", tmp_path / "alone"
    program.run_well("materialize", store, found[("dare", "code", "math")][0], "-o", alone)
    first = subprocess.Popen(program.command("materialize", store, found[("average", "code", "math")][0], "-o", folder),
                             env=program.environment("event=safetensors.body;signal=STOP"), stderr=subprocess.PIPE, text=True)
    try:
        assert os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
        assert len(list(tmp_path.glob(".model.*"))) == 1
        program.run_well("materialize", store, found[("dare", "code", "math")][0], "-o", folder)
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate(timeout=300)
    finally:
        first.kill()
        first.wait()
    assert first.returncode != 0 and f"{folder}: cannot be given its name" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "model"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {path.name: path.read_bytes() for path in alone.iterdir()}


def test_shards(world, tmp_path):
    # A wider base, so that its parameters exceed 1 MiB, the smallest shard.
    config = world.pretraining()
    config["sweep"] = {"name": "wide", "output": "wide"}
    config["model"]["width"] = 160
    config["pretrain"]["steps"] = 2
    config["specialist"] = [{"name": "code", "corpus": "code"}, {"name": "math", "corpus": "math"}]
    config["finetune"] = {"steps": 2, "batch": 2}
    config["corpus"] = world.corpora("code", "math", "prose", "record")
    config["grid"] = {"pairs": [["code", "math"]], "degrees": [2], "targets": ["record"], "method": [{"name": "average"}]}
    config["evaluate"] = {"windows": 8}
    config["run"] = {"device": "cpu"}
    file = worlds.write(config, tmp_path)
    program.run_well(file)
    store = worlds.store_of(file, config)
    row, loss = rows(store)[("average", "code", "math")]
    folder = tmp_path / "sharded"
    program.run_well("materialize", store, row, "-o", folder, "--shard-size", "1")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(shards) > 1 and sorted(set(index["weight_map"].values())) == shards
    assert all((folder / name).stat().st_size < (1 << 20) + 8192 for name in shards)
    assert index["metadata"]["total_size"] > 1 << 20
    # Other width, other world: the base row of a sweep over this checkpoint.
    config = world.sweep("reloaded")
    config["model"]["checkpoint"] = folder
    config["sweep"].update(output="again/sharded", seeds=[0])
    config["grid"].update(degrees=[0], method=[{"name": "average"}])
    config["evaluate"] = {"windows": 8}
    file = worlds.write(config, tmp_path, "sharded.toml")
    program.run_well(file)
    assert rows(worlds.store_of(file, config))[("base", "base")][1] == loss


@pytest.mark.parametrize("method, family", [("ensemble_logits", "output"), ("route", "routing")])
def test_refuses_what_is_not_one_network(merged, tmp_path, method, family):
    _, _, _, store = merged
    row = rows(store)[(method, "code", "math")][0]
    result = program.run("materialize", store, row, "-o", tmp_path / "no")
    assert result.code == program.WRONG_INPUT
    assert f"{method} (family {family}) is not one network" in result.err
    assert rows(store)[("average", "code", "math")][0] in result.err, "it names ids that would do"
    assert not (tmp_path / "no").exists()


def test_refuses_unknown_ids_and_existing_folders(merged, tmp_path):
    folder, _, _, store = merged
    before = program.snapshot(folder)
    row = rows(store)[("average", "code", "math")][0]
    result = program.run("materialize", store, "f" * 32, "-o", tmp_path / "no")
    assert result.code == program.WRONG_INPUT and "no experiment has the id" in result.err and row in result.err
    result = program.run("materialize", store, row, "-o", tmp_path)
    assert result.code == program.WRONG_INPUT and "is there already" in result.err
    assert list(tmp_path.iterdir()) == []
    for arguments in [(store,), (store, row), (store, row, "-o", tmp_path / "no", "--shard-size", "0"), (store, row, "-o", ""), (tmp_path / "none.h5", row, "-o", tmp_path / "no")]:
        assert program.run("materialize", *arguments).code == program.WRONG_INPUT
    assert program.snapshot(folder) == before


def test_says_which_checkpoint_is_missing(world, tmp_path):
    config, file, store = sweep(world, tmp_path)
    row = rows(store)[("average", "code", "math")][0]
    side = store.with_suffix(".d")
    for checkpoint in (side / "checkpoints").iterdir():
        checkpoint.unlink()
    result = program.run("materialize", store, row, "-o", tmp_path / "no")
    assert result.code == program.WRONG_INPUT and "is not there" in result.err and "keep_checkpoints" in result.err
