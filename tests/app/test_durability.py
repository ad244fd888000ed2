"""What is inside a long task when the run commits, stops or dies: order of events, step checkpoints, retries, planned stops."""
import json
import os
import shutil
import signal

import pytest

import program
import world as worlds

KILLED = -signal.SIGKILL


# ---- commits

def test_others_commit_while_one_rank_is_inside_a_long_task(world):
    """One trajectory goes on for ever; its early checkpoints are enough for all the rest, which is computed and committed meanwhile."""
    config = world.sweep("endless")
    config["sweep"]["seeds"] = [0]
    config["specialist"][0]["steps"] = 200_000
    config["grid"]["layers"] = ["all", "each"]
    config["run"]["commit_seconds"] = 0.05
    file = worlds.write(config, world.root / "endless")
    store = worlds.store_of(file, config)
    process = program.start(file, ranks=3)
    long = "specialise code, seed 0"
    program.wait_for(lambda: any(task == long for task, _ in program.flights(store).values()), process)
    (begun,) = [(rank, since) for rank, (task, since) in program.flights(store).items() if task == long]
    rows = len(program.statuses(store))
    program.wait_for(lambda: program.committed(store) == rows and program.status_file(store).get("commits", 0) >= 1, process, timeout=240)
    # Every experiment is committed, by all ranks together: those at degree 20 too, whose checkpoint was made inside the long task.
    # And that is still the same one.
    assert [(rank, since) for rank, (task, since) in program.flights(store).items() if task == long] == [begun]
    training = program.columns(store, "training")
    models = program.names_of(store, "model")
    assert {models[code]: int(status) for code, status in zip(training["model"], training["status"])} == {"code": 0, "math": program.DONE}
    process.send_signal(signal.SIGUSR1)
    result = program.finish(process)
    assert result.code == 75, str(result)
    assert list((store.with_suffix(".d") / "partial").iterdir()), "the step checkpoint of the long task"
    program.run_well("verify", store)


# ---- locks

def test_an_owner_file_takes_the_place_of_locks(world, monkeypatch):
    """Where the file system has none: an owner that was killed is waited for, and replaced once it has been silent for a minute."""
    monkeypatch.setitem(program.ENVIRONMENT, "CMSWEEP_LOCKS", "owner-file")
    config = world.sweep("owner")
    file = worlds.write(config, world.root / "owner")
    store = worlds.store_of(file, config)
    owner = store.with_suffix(".owner")
    assert program.run(file, ranks=3, fault="event=journal.append;at=2").code != 0
    text = owner.read_text()
    result = program.run(file, ranks=3)
    assert result.code == 2 and f"another run works on this store: {text}" in result.err, str(result)
    os.utime(owner, (1_600_000_000, 1_600_000_000))
    result = program.run_well(file, ranks=3)
    assert f"taken over from {text}" in result.err and "keeps other runs away" in result.err, str(result)
    program.assert_all_done(store)
    assert not owner.exists()


# ---- step checkpoints

def saved_step(side):
    (file,) = (side / "partial").glob("*.state")
    header = int.from_bytes(file.read_bytes()[:8], "little")
    return int(json.loads(file.read_bytes()[8:8 + header])["__metadata__"]["step"])


def test_fine_tuning_continues_from_its_own_last_step_bit_for_bit(world):
    """Counted in steps: what was left at the stop is computed, no step more and none less, also after a kill in between."""
    config = world.sweep("steps")
    config["sweep"]["seeds"] = [0]
    config["finetune"].update(steps=400)
    config["grid"].update(degrees=[400], method=[{"name": "average"}])
    whole = worlds.write(config, world.root / "steps-whole")
    program.run_well(whole)

    file = worlds.write(config, world.root / "steps")
    store = worlds.store_of(file, config)
    side = store.with_suffix(".d")
    assert program.run(file, fault="event=train.step;at=40;signal=USR1").code == 75
    step = saved_step(side)
    assert 39 <= step < 400
    left = 400 - step + 400  # of this trajectory and of the other one
    assert program.run(file, fault="event=train.step;at=20").code == KILLED
    assert saved_step(side) == step
    copy = shutil.copytree(file.parent, world.root / "steps-copy")
    assert program.run(copy / file.name, fault=f"event=train.step;at={left}").code == KILLED, "no step is left out"
    result = program.run(file, fault=f"event=train.step;at={left + 1}")
    assert result.code == 0, f"a step was computed again: {result}"
    program.assert_same_results(store, worlds.store_of(whole, config))
    checkpoints = [sorted((worlds.store_of(f, config).with_suffix(".d") / "checkpoints").iterdir()) for f in (whole, file)]
    assert [(a.name, a.read_bytes()) for a in checkpoints[0]] == [(b.name, b.read_bytes()) for b in checkpoints[1]]
    assert not list((side / "partial").iterdir())


def test_routers_continue_from_their_own_last_step(world):
    config = world.sweep("router-steps")
    config["sweep"]["seeds"] = [0]
    config["grid"].update(degrees=[20], method=[{"name": "route", "steps": 300, "batch": 4}])
    whole = worlds.write(config, world.root / "router-steps-whole")
    program.run_well(whole)
    file = worlds.write(config, world.root / "router-steps")
    store = worlds.store_of(file, config)
    assert program.run(file, fault="event=train.step;at=60;signal=USR1").code == 75  # two trajectories of 20 steps come first
    step = saved_step(store.with_suffix(".d"))
    assert 19 <= step < 300
    result = program.run(file, fault=f"event=train.step;at={300 - step + 1}")
    assert result.code == 0, str(result)
    program.assert_same_results(store, worlds.store_of(whole, config))


# ---- exceptions are worth another start

def test_exceptions_are_retried_as_often_as_the_config_says(world):
    config = world.sweep("retries")
    config["run"]["retries"] = 2
    whole = worlds.write(config, world.root / "retries-whole")
    program.run_well(whole)
    file = worlds.write(config, world.root / "retries")
    store = worlds.store_of(file, config)
    fault = "event=task ensemble_probabilities of code+math at degree 10, layer none, seed 1;signal=throw"

    def failed_rows():
        return [row for row in program.labelled_rows(store).values() if row["status"] == program.FAILED]
    for attempt in (1, 2):
        assert program.run(file, fault=fault).code == program.SOME_FAILED
        assert [row["attempt"] for row in failed_rows()] == [attempt]
        assert b"fault on purpose" in failed_rows()[0]["message"] and failed_rows()[0]["retryable"] == 1
    shutil.copytree(file.parent, world.root / "retries-used-up")
    program.run_well(file)  # the cause is gone
    program.assert_all_done(store)
    program.assert_same_results(store, worlds.store_of(whole, config))
    assert sorted(program.columns(store, "experiments")["attempt"])[-2:] == [1, 3]

    file = world.root / "retries-used-up" / file.name
    store = worlds.store_of(file, config)
    assert program.run(file, fault=fault).code == program.SOME_FAILED
    before = program.digest(store)
    result = program.run(file)
    assert result.code == program.SOME_FAILED and "everything is done" in result.err, str(result)
    assert program.digest(store) == before and [row["attempt"] for row in failed_rows()] == [3]


# ---- ranks that hang, and stops that do not wait for them

def test_a_task_that_hangs_is_given_up_retried_and_then_failed(world):
    """Every rank but the hanging one has nothing left to do; nothing of what they did is lost. With one worker the task fails
    twice in the same words, which are two attempts all the same."""
    config = world.sweep("hangs")
    config["run"].update(task_timeout="10s", retries=2)
    file = worlds.write(config, world.root / "hangs")
    store = worlds.store_of(file, config)
    fault = "event=task ensemble_probabilities of code+math at degree 10, layer none, seed 1;signal=hang"
    for ranks in (3, 2, 2):
        result = program.run(file, ranks=ranks, fault=fault)
        assert result.code == 75, str(result)
        assert "no safe point for" in result.err and "run.task_timeout is 10.0 s" in result.err, str(result)
        assert not (store.with_suffix(".d") / "suspects.json").exists()
    result = program.run(file, ranks=3)
    assert result.code == program.SOME_FAILED, str(result)
    rows = program.labelled_rows(store).values()
    failed = [row for row in rows if row["status"] == program.FAILED]
    assert [(row["attempt"], row["retryable"]) for row in failed] == [(3, 1)] and b"no safe point for" in failed[0]["message"]
    assert all(row["attempt"] == 1 for row in rows if row["status"] == program.DONE) and len(failed) == 1


def test_a_hanging_task_without_results_fails_what_needs_it(world):
    """No row is its own, so that only its dependents' rows can end a sweep that would else hang at every start."""
    config = world.sweep("hangs-inside")
    config["sweep"]["seeds"] = [0]  # the labels of these tasks do not name it
    config["run"].update(task_timeout="10s", retries=0)
    file = worlds.write(config, world.root / "hangs-inside")
    store = worlds.store_of(file, config)
    label = "represent code at degree 10"
    fault = f"event=task {label};signal=hang"
    result = program.run(file, ranks=3, fault=fault)
    assert result.code == 75 and f"{label}: no safe point for" in result.err, str(result)
    result = program.run(file, ranks=3, fault=fault)
    assert result.code == program.SOME_FAILED, str(result)
    failed = [row for row in program.labelled_rows(store, "similarity").values() if row["status"] == program.FAILED]
    assert failed and all(f"not computed: task '{label}' failed: no safe point for".encode() in row["message"] for row in failed)
    assert {row["attempt"] for row in failed} == {1}
    assert set(program.statuses(store)) == {program.DONE}, "the experiments need none of it"


@pytest.mark.parametrize("asked", [True, False], ids=["asked_to_stop", "not_asked"])
def test_a_kill_after_a_request_to_stop_blames_nobody(world, asked):
    config = world.sweep("impatient")
    config["finetune"].update(steps=60)
    file = worlds.write(config, world.root / f"impatient-{asked}")
    side = worlds.store_of(file, config).with_suffix(".d")
    process = program.start(file, ranks=3, fault="event=train.step;at=5;rank=1;signal=STOP")
    program.wait_for(lambda: any(program.state(pid) == "T" for pid in program.descendants(process.pid)), process)
    if asked:
        process.send_signal(signal.SIGUSR1)
        program.wait_for(lambda: (side / "flight" / "all.stopping").exists(), process)
    program.kill(process.pid, *program.descendants(process.pid))
    program.finish(process)
    program.run(file, fault="event=train.step;signal=KILL")  # counts what was in flight, and comes no further
    assert (side / "suspects.json").exists() == (not asked)
