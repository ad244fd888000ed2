"""Stopping, killing, continuing, growing and shrinking: no finished result is lost, none is computed twice."""
import copy
import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import h5py
import pytest

import program
import world as worlds


@pytest.fixture(scope="session")
def undisturbed(world):
    """The long sweep's store, made in one go."""
    config = world.long_sweep()
    file = worlds.write(config, world.root / "undisturbed")
    program.run_well(file)
    store = worlds.store_of(file, config)
    program.assert_all_done(store)
    return store


# ---- asked to stop

@pytest.mark.parametrize("ranks, number, code", [
    (0, signal.SIGUSR1, 75), (0, signal.SIGTERM, 75), (0, signal.SIGINT, 75), (3, signal.SIGUSR1, 75),
    (3, signal.SIGTERM, 1),  # mpirun passes TERM on, and then ends with a code of its own whatever the ranks return
])
def test_a_signal_stops_the_sweep_and_it_continues(world, undisturbed, ranks, number, code):
    config = world.long_sweep()
    file = worlds.write(config, world.root / f"stopped-{ranks}-{number}")
    store = worlds.store_of(file, config)
    process = program.start(file, ranks=ranks)
    program.wait_for(lambda: program.has_results(store), process)
    process.send_signal(number)
    result = program.finish(process)
    assert result.code == code, str(result)
    assert f"stopped early (on request, {number.name}): run the same command again to continue" in result.err
    before = program.labelled_rows(store)
    done = {key: row for key, row in before.items() if row["status"] == program.DONE}
    assert len(done) < len(before), "stopped in the middle"
    assert any((program.columns(store, table)["status"] == program.DONE).any() for table in program.TABLES)
    program.run_well("verify", store)

    program.run_well(file, ranks=ranks)
    program.assert_same_results(store, undisturbed)
    program.assert_rows_kept(done, program.labelled_rows(store))


def test_the_walltime_stops_the_sweep_and_it_continues(world, undisturbed):
    config = world.long_sweep()
    file = worlds.write(config, world.root / "walltime")
    store = worlds.store_of(file, config)
    result = program.run(file, "--walltime", "2s")
    assert result.code == 75 and "stopped early (the walltime is nearly over)" in result.err, str(result)
    assert not store.exists() or program.committed(store) < len(program.statuses(store))
    program.run_well(file)
    program.assert_same_results(store, undisturbed)


def test_a_signal_while_the_run_is_prepared_stops_it_before_its_first_task(world, tmp_path):
    """The config comes through a pipe, so that the test knows when it is being read."""
    config = world.sweep("prepared")
    pipe = tmp_path / "sweep.toml"
    os.mkfifo(pipe)
    process = program.start(pipe)
    with open(pipe, "w") as writer:  # waits for the reader
        process.send_signal(signal.SIGUSR1)
        writer.write(worlds.to_toml(config))
    result = program.finish(process)
    assert result.code == 75 and "stopped early (on request, SIGUSR1)" in result.err, str(result)
    store = worlds.store_of(pipe, config)
    assert not any((program.columns(store, table)["status"] != 0).any() for table in program.TABLES)


def test_a_stop_while_routing_weights_are_averaged_parts_no_experiment_from_them(world):
    """Held there until the next safe point is due, which is the first of the averaging."""
    config = world.sweep("averaged")
    file = worlds.write(config, world.root / "averaged")
    store = worlds.store_of(file, config)
    process = program.start(file, fault="event=routing weights;signal=STOP")
    program.wait_for(lambda: program.state(process.pid) == "T", process)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    process.send_signal(signal.SIGCONT)
    result = program.finish(process)
    assert result.code == 75, str(result)
    program.run_well(file)
    program.assert_all_done(store)
    for table in program.TABLES:
        assert set(program.columns(store, table)["attempt"]) == {1}, table


def test_a_second_interrupt_stops_at_once_and_nothing_is_damaged(world, undisturbed):
    """One worker is held, so that the first interrupt cannot do its work before the second comes."""
    config = world.long_sweep()
    file = worlds.write(config, world.root / "interrupted")
    store = worlds.store_of(file, config)
    process = program.start(file, ranks=3, fault="event=task specialise code, seed 0;signal=STOP")
    program.wait_for(lambda: program.has_results(store), process)
    lead = next(pid for pid in program.descendants(process.pid) if b"OMPI_COMM_WORLD_RANK=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    os.kill(lead, signal.SIGINT)
    program.wait_for(lambda: json.loads((store.with_suffix(".d") / "status.json").read_text())["state"] == "stopping", process)
    assert "run: stopping" in program.run_well("status", store).out
    os.kill(lead, signal.SIGINT)
    result = program.finish(process)
    assert result.code not in (0, 75) and "run the same command again" not in result.err, str(result)
    if store.exists():
        program.run_well("verify", store)
    program.run_well(file, ranks=3)
    program.assert_same_results(store, undisturbed)


@pytest.mark.parametrize("squeue", [None, "exit 1", "echo N/A", "echo 2001-02-03"], ids=["missing", "failing", "no_limit", "garbage"])
def test_inside_slurm_the_program_does_not_need_squeue(world, tmp_path, squeue):
    config = world.sweep("alone")
    file = worlds.write(config, tmp_path)
    (tmp_path / "bin").mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for tool in Path(folder).iterdir() if Path(folder).is_dir() else []:
            link = tmp_path / "bin" / tool.name
            link.unlink(missing_ok=True)
            link.symlink_to(tool)
    (tmp_path / "bin" / "squeue").unlink(missing_ok=True)
    if squeue:
        (tmp_path / "bin" / "squeue").write_text(f"#!/bin/sh\n{squeue}\n")
        (tmp_path / "bin" / "squeue").chmod(0o755)
    result = program.finish(program.start(file, PATH=str(tmp_path / "bin"), SLURM_JOB_ID="1"))
    assert result.code == 0, str(result)
    program.assert_all_done(worlds.store_of(file, config))


# ---- killed

@pytest.mark.parametrize("orphans", [False, True], ids=["all_at_once", "mpirun_alone"])
def test_kills_at_random_moments_lose_nothing(world, undisturbed, orphans):
    """The moments are drawn once for ever; where mpirun alone is killed, its ranks go on for a while, and the next start waits."""
    draw = random.Random(f"kill {orphans}")
    config = world.long_sweep()
    file = worlds.write(config, world.root / f"killed-{orphans}")
    store = worlds.store_of(file, config)
    kept, kills = {}, 0
    while kills < 4:
        wanted = program.committed(store) + draw.choice([0, 1, 8, 20])
        process = program.start(file, ranks=3)
        while process.poll() is None and program.committed(store) < wanted:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.4))
        finished = process.poll() is not None
        program.kill(process.pid, *([] if orphans else program.descendants(process.pid)))
        process.wait()
        process.stdout.close()
        process.stderr.close()
        if finished:  # before it could be killed, as orphans may have done all of it: the next kill disturbs a new sweep
            program.assert_same_results(store, undisturbed)
            shutil.rmtree(store.parent)
            kept = {}
            continue
        kills += 1
        if not store.exists():
            continue
        rows = program.labelled_rows(store)
        program.assert_rows_kept(kept, rows)
        kept = {key: row for key, row in rows.items() if row["commit"] != 0}  # a row half written has its status, but no commit word
    program.run_well(file, ranks=3)
    program.assert_rows_kept(kept, program.labelled_rows(store))
    program.assert_same_results(store, undisturbed)
    program.run_well("verify", store)
    assert list((store.parent / "long.d" / "journal").iterdir()) == []


def test_a_long_trajectory_that_gets_on_is_not_to_blame_for_kills(world):
    """The quarantine of tasks that kill their process counts from the newest step checkpoint, which a stop writes."""
    config = world.sweep("long-trajectory")
    config["sweep"]["seeds"] = [0]
    config["finetune"].update(steps=100_000)
    config["grid"].update(degrees=[100_000], method=[{"name": "average"}])
    file = worlds.write(config, world.root / "long-trajectory")
    side = worlds.store_of(file, config).with_suffix(".d")
    seen = set()
    for _ in range(3):
        for name, code in (("USR1", 75), ("KILL", -signal.SIGKILL), ("USR1", 75)):
            result = program.run(file, fault=f"event=train.step;at=5;signal={name}")
            assert result.code == code, str(result)
        suspects = json.loads((side / "suspects.json").read_text())
        assert [entry["ends"] for entry in suspects] == [1], suspects
        seen.add(suspects[0]["progress"])
    assert len(seen) == 3 and "" not in seen


# ---- in use

def test_a_second_sweep_on_the_same_store_is_refused(world, undisturbed):
    config = world.long_sweep()
    file = worlds.write(config, world.root / "in-use")
    store = worlds.store_of(file, config)
    first = program.start(file)
    try:
        program.wait_for(lambda: program.has_results(store), first)
        first.send_signal(signal.SIGSTOP)  # so that it still runs when the second has waited long enough
        before = program.digest(store)
        second = program.run(file)
        assert second.code == 2, str(second)
        assert f"process {first.pid} on " in second.err
        assert second.err.count("\n") == 1, "one message"
        assert program.digest(store) == before
        # Looking is allowed, writing is not.
        with pytest.raises(OSError):
            h5py.File(store, "r+")
        assert program.committed(store) > 0 or program.has_results(store)
        assert "pending" in program.run_well("status", store).out
        program.run_well("plan", file)
    finally:
        first.send_signal(signal.SIGCONT)
    result = program.finish(first)
    assert result.code == 0, str(result)
    program.assert_same_results(store, undisturbed)


# ---- growing and shrinking

@pytest.fixture(scope="session")
def small(world):
    """A finished small sweep: its config and its folder, to be copied before it is changed."""
    config = world.sweep("small")
    file = worlds.write(config, world.root / "small")
    program.run_well(file)
    return config, file.parent


@pytest.fixture
def copied(small, tmp_path):
    config, folder = small
    target = tmp_path / "small"
    shutil.copytree(folder, target)
    return copy.deepcopy(config), target / "sweep.toml"


def to_compute(plan: program.Result) -> dict[str, int]:
    """The last column of the plan's table of results."""
    found = {table: re.search(rf"^{table} +\d+ +\d+ +\d+ +(\d+)$", plan.out, re.MULTILINE) for table in program.TABLES}
    return {table: int(match.group(1)) for table, match in found.items() if match}


def add_degree(config):
    config["grid"]["degrees"].append(15)


def add_degree_beyond_the_end(config):
    config["finetune"]["steps"] = 30
    config["grid"]["degrees"].append(30)


def add_parameter(config):
    config["grid"]["method"][0]["alpha"].append(0.75)


def add_method(config):
    config["grid"]["method"].append({"name": "slerp"})


def add_seed(config):
    config["sweep"]["seeds"].append(7)


def add_pair(config):
    config["grid"]["pairs"].append(["math", "code#1"])


def add_target(config):
    config["corpus"].append({**config["corpus"][0], "name": "prose", "files": [str(config["corpus"][0]["files"][0]).replace("code", "prose")]})
    config["grid"]["targets"].append("prose")


def add_layer(config):
    config["grid"]["layers"].append(1)


def add_metric(config):
    config["similarity"]["metrics"].append("cka_linear")


@pytest.mark.parametrize("grow", [add_degree, add_degree_beyond_the_end, add_parameter, add_method, add_seed, add_pair, add_target,
                                  add_layer, add_metric])
def test_growing_an_axis_computes_only_what_is_new(copied, world, grow):
    config, file = copied
    store = worlds.store_of(file, config)
    before = {table: program.labelled_rows(store, table) for table in program.TABLES}
    grow(config)
    worlds.write(config, file.parent)
    announced = to_compute(program.run_well("plan", file))
    program.run_well(file)
    program.assert_all_done(store)
    for table in program.TABLES:
        after = program.labelled_rows(store, table)
        old_ids = {key[0] for key in before[table]}
        if table == "training" and grow is add_degree_beyond_the_end:
            assert announced[table] == len(after) - len(before[table]), "longer curves are new results"
            before[table] = {}
        program.assert_rows_kept(before[table], after)
        assert announced[table] == len({key[0] for key in after} - old_ids), table
    assert announced["similarity" if grow is add_metric else "experiments"] > 0

    fresh = worlds.write(config, world.root / f"fresh-{grow.__name__}")
    program.run_well(fresh)
    for table in program.TABLES:
        grown, new = program.labelled_rows(store, table), program.labelled_rows(worlds.store_of(fresh, config), table)
        assert new.keys() == {key for key, row in grown.items() if row["in_plan"]}
        for key, row in new.items():
            for name in row.keys() - program.HOW_IT_WAS_MADE - {"pair", "method", "setting", "target", "layer", "model", "metric", "probe",
                                                                "site", "model_a", "model_b", "label_check"}:  # codes; the names are in the key
                assert program.same_values(row[name], grown[key][name]), f"{table}/{name} of {key}"


def test_a_later_start_knows_how_long_tasks_take(copied):
    """From the durations that the store recorded: the time left is told before anything has run."""
    config, file = copied
    add_seed(config)
    worlds.write(config, file.parent)
    assert "(from recorded durations)" in program.run_well("plan", file).out
    first = next(line for line in program.run_well(file).err.splitlines() if "results, " in line)
    assert re.fullmatch(r"0/\d+ results, 0.00/s, about .* left", first)


def test_shrinking_keeps_the_rows_outside_the_plan(copied):
    config, file = copied
    store = worlds.store_of(file, config)
    before = program.labelled_rows(store)
    whole = copy.deepcopy(config)
    config["grid"]["degrees"].remove(10)
    worlds.write(config, file.parent)
    result = program.run_well(file)
    assert "everything is done" in result.err
    after = program.labelled_rows(store)
    assert after.keys() == before.keys()
    program.assert_rows_kept(before, after)
    outside = [row for row in after.values() if not row["in_plan"]]
    assert len(outside) == sum(row["degree"][0] == 10 for row in before.values()) > 0
    assert all(row["degree"][0] == 10 for row in outside)
    program.run_well("verify", store)

    worlds.write(whole, file.parent)
    assert "everything is done" in program.run_well(file).err
    again = program.labelled_rows(store)
    program.assert_rows_kept(before, again)
    assert all(row["in_plan"] for row in again.values())


def test_a_sweep_that_compares_no_longer_keeps_its_comparisons(copied):
    """The plan's table is empty then, while the store's is not."""
    config, file = copied
    store = worlds.store_of(file, config)
    before = program.labelled_rows(store, "similarity")
    del config["similarity"]
    worlds.write(config, file.parent)
    assert "everything is done" in program.run_well(file).err
    after = program.labelled_rows(store, "similarity")
    assert len(before) > 0 and after.keys() == before.keys()
    program.assert_rows_kept(before, after)
    assert not any(row["in_plan"] for row in after.values())
    program.run_well("verify", store)


def test_rows_of_former_plans_stay_whatever_result_they_share(copied):
    """At degree 0 every specialist alone is the base: many rows, one result."""
    config, file = copied
    store = worlds.store_of(file, config)
    before = program.labelled_rows(store)
    config["grid"]["degrees"] = [d for d in config["grid"]["degrees"] if d != 0]
    worlds.write(config, file.parent)
    assert "everything is done" in program.run_well(file).err
    after = program.labelled_rows(store)
    assert after.keys() == before.keys()
    assert any(not row["in_plan"] for row in after.values())
    program.assert_rows_kept(before, after)
    program.run_well("verify", store)
    worlds.write(config | {"grid": config["grid"] | {"degrees": [0, *config["grid"]["degrees"]]}}, file.parent)
    assert "everything is done" in program.run_well(file).err
    again = program.labelled_rows(store)
    assert again.keys() == before.keys() and all(row["in_plan"] for row in again.values())


def test_another_learning_rate_recomputes_what_depends_on_it(copied):
    config, file = copied
    store = worlds.store_of(file, config)
    before = program.labelled_rows(store)
    trained = program.labelled_rows(store, "training")
    config["specialist"][1]["learning_rate"] = 1e-3
    worlds.write(config, file.parent)
    plan = program.run_well("plan", file).out

    models = program.names_of(store, "model")
    def depends(row):
        return any(models[code] == "math" and degree > 0 for code, degree in zip(row["model"], row["degree"]) if code >= 0)
    affected = [row for row in before.values() if depends(row)]
    assert 0 < len(affected) < len(before)
    assert f"{len(affected)} experiments of the same labels are stored but were made from other inputs" in plan
    assert "specialist[1].learning_rate: (absent) -> 0.001" in plan
    assert to_compute(program.run("plan", file))["experiments"] == len({row["id"] for row in affected})

    program.run_well(file)
    after = program.labelled_rows(store)
    program.assert_rows_kept(before, after)
    new = {key: row for key, row in after.items() if key not in before}
    assert len(new) == len(affected) and all(depends(row) and row["status"] == program.DONE for row in new.values())
    assert sum(not row["in_plan"] for row in after.values()) == len(affected)
    program.assert_rows_kept(trained, program.labelled_rows(store, "training"))
    assert len(program.labelled_rows(store, "training")) == len(trained) + 2, "math's trajectory, for two seeds"


def test_order_and_comments_mean_nothing(copied):
    config, file = copied
    store = worlds.store_of(file, config)
    before = {table: program.labelled_rows(store, table) for table in program.TABLES}
    for key in ("corpus", "specialist"):
        config[key].reverse()
    for key in ("degrees", "method"):
        config["grid"][key].reverse()
    config["sweep"]["seeds"].reverse()
    config["grid"]["method"][-1]["alpha"].reverse()
    config = dict(reversed(config.items()))
    worlds.write(config, file.parent)
    text = file.read_text()
    file.write_text("# turned around\n" + re.sub(r"^(\[.*\])$", r"\1  # a comment", text, flags=re.MULTILINE))
    assert set(to_compute(program.run_well("plan", file)).values()) == {0}
    assert "everything is done" in program.run_well(file).err
    for table in program.TABLES:
        after = program.labelled_rows(store, table)
        assert after.keys() == before[table].keys()
        program.assert_rows_kept(before[table], after)
        assert all(row["in_plan"] for row in after.values())


# ---- files that are not read again

def make_old(*folders):
    """Files count as settled some seconds after their last change."""
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                os.utime(file, (1_600_000_000, 1_600_000_000))


def change_in_place(file, offset):
    """One byte of the same file, which keeps its size, time and inode."""
    times = file.stat()
    with open(file, "r+b") as opened:
        opened.seek(offset)
        before = opened.read(1)
        opened.seek(offset)
        opened.write(bytes([before[0] ^ 1]))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (times.st_size, times.st_mtime_ns, times.st_ino)


@pytest.mark.parametrize("kind", ["text", "checkpoint"])
def test_unchanged_files_are_not_read_again_and_changed_ones_are_noticed(world, tmp_path, kind):
    config = world.sweep("cached")
    config["sweep"]["seeds"] = [0]
    shutil.copytree(world.text, tmp_path / "text")
    shutil.copytree(world.base, tmp_path / "base")
    for corpus in config["corpus"]:
        corpus["files"] = [tmp_path / "text" / corpus["name"] / "*"]
    config["model"]["checkpoint"] = tmp_path / "base"
    make_old(tmp_path / "text", tmp_path / "base")
    file = worlds.write(config, tmp_path)
    store = worlds.store_of(file, config)
    program.run_well(file)
    changed = tmp_path / "text" / "code" / "03.txt" if kind == "text" else tmp_path / "base" / "model.safetensors"
    change_in_place(changed, 700 if kind == "text" else changed.stat().st_size - 4)
    assert set(to_compute(program.run_well("plan", file)).values()) == {0}, "it was not read again"
    os.utime(changed, (1_600_000_001, 1_600_000_001))
    announced = to_compute(program.run_well("plan", file))
    assert announced["training"] == (1 if kind == "text" else 2) and announced["experiments"] > 0
    program.run_well(file)
    assert set(to_compute(program.run_well("plan", file)).values()) == {0}
    # The same as by a sweep that knows nothing of earlier ones.
    fresh = worlds.write({**config, "sweep": {**config["sweep"], "output": "fresh/cached"}}, tmp_path, "fresh.toml")
    program.run_well(fresh)
    new = program.labelled_rows(tmp_path / "fresh" / "cached.h5")
    mended = {key: row for key, row in program.labelled_rows(store).items() if row["in_plan"]}
    assert new.keys() == mended.keys() and all(program.same_values(new[key]["loss"], mended[key]["loss"]) for key in new)


def test_lost_or_damaged_caches_are_made_anew(world, tmp_path):
    config = world.sweep("caches")
    config["sweep"]["seeds"] = [0]
    shutil.copytree(world.text, tmp_path / "text")
    for corpus in config["corpus"]:
        corpus["files"] = [tmp_path / "text" / corpus["name"] / "*"]
    make_old(tmp_path / "text", world.base)
    file = worlds.write(config, tmp_path)
    cache = worlds.store_of(file, config).with_suffix(".d") / "cache"
    program.run_well(file)
    entries, tokens = list((cache / "inputs").iterdir()), list((cache / "tokens").iterdir())
    assert entries and tokens
    for damage in (lambda entry: entry.write_text("{"), lambda entry: entry.write_text('{"value": 3}'),
                   lambda entry: entry.write_text('{"value": "no digest"}'), lambda entry: entry.unlink()):
        for entry in (cache / "inputs").iterdir():
            damage(entry)
        assert set(to_compute(program.run_well("plan", file)).values()) == {0}
    for split in tokens:
        split.write_bytes(split.read_bytes()[:-1] + b"x")
    assert set(to_compute(program.run_well("plan", file)).values()) == {0}
