"""Faults on purpose: kills at chosen points and random moments, full and read-only disks, damaged files, stopped and crashing ranks.

After each the same command continues, completes, has lost nothing that was finished, and the store has the bits of an undisturbed
run. `--kills 300` makes the random part long, `--kinds` chooses whom it hits and `--seed` when (see conftest.py); both are printed.
Nothing here depends on how fast the machine is: tests wait for events, or the program meets its fault at a named one.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager

import pytest

import program
import world as worlds

KILLED = -signal.SIGKILL
# What a sweep ends with when a process of it is killed: by itself or its mpirun, one of mpirun's ranks; or the kill came too late.
AFTER_A_KILL = (KILLED, 128 + signal.SIGKILL, 0)


def environment(fault="", quarantine="off"):
    return {**program.environment(fault), "CMSWEEP_QUARANTINE": quarantine}


def run(file, ranks=0, fault="", quarantine="off", timeout=300):
    done = subprocess.run(program.command(file, ranks=ranks), env=environment(fault, quarantine), capture_output=True, text=True, timeout=timeout)
    return program.Result(done.returncode, done.stdout, done.stderr)


def fault_sweep(world):
    """Some three seconds on one worker: every kind of task, a commit every 0.1 s."""
    config = world.sweep("long")
    config["finetune"].update(steps=40, batch=8)
    config["grid"].update(degrees=[0, 20, 40], layers=["all", "each"])
    config["similarity"].update(against=["pair", "base"], after_merge=True)
    config["run"]["commit_seconds"] = 0.1
    return config


@pytest.fixture(scope="session")
def config(world):
    return fault_sweep(world)


@pytest.fixture(scope="session")
def undisturbed(world, config):
    file = worlds.write(config, world.root / "faults-undisturbed")
    program.run_well(file)
    store = worlds.store_of(file, config)
    program.assert_all_done(store)
    return store


class Disturbed:
    """A sweep that is disturbed again and again, and what was finished so far."""

    def __init__(self, world, config, name):
        self.file = worlds.write(config, world.root / name)
        self.store = worlds.store_of(self.file, config)
        self.side = self.store.with_suffix(".d")
        self.kept = {}

    def check(self):
        """Nothing that was finished before this fault is gone."""
        if not self.store.exists():
            assert not self.kept
            return
        rows = program.labelled_rows(self.store)
        program.assert_rows_kept(self.kept, rows)
        self.kept = {key: row for key, row in rows.items() if row["commit"] != 0 and row["status"] == program.DONE}

    def complete(self, undisturbed, ranks=3):
        result = run(self.file, ranks=ranks)
        assert result.code == 0, str(result)
        self.check()
        program.run_well("verify", self.store)
        program.assert_same_results(self.store, undisturbed)
        assert not list((self.side / "journal").glob("*.journal"))
        assert not list(self.side.rglob(".*.tmp")), "temporary files were left"
        return result


# ---- kills

# In the order in which one sweep can meet them: (event, its how-manieth time, ranks, which rank). All phases of a run are there:
# laying the store out, each kind of task, journals, commits, and the recovery of what the kill before it left.
POINTS = [
    ("fit.column", 30, 0, 0), ("fit.written", 1, 3, 0), ("fit.renamed", 1, 0, 0),
    ("safetensors.body", 1, 0, 0), ("train.step", 30, 0, 0), ("file.rename", 4, 3, 1), ("end specialise", 1, 0, 0), ("safetensors.body", 2, 3, 2),
    ("end represent", 1, 0, 0), ("journal.append", 1, 0, 0), ("end compare", 1, 0, 0), ("replay.committed", 1, 0, 0), ("journal.append", 5, 3, 1),
    ("replay.committed", 1, 0, 0), ("commit.begin", 1, 3, 2), ("commit.column", 3, 3, 0), ("commit.column", 9, 3, 1),
    ("commit.payload", 1, 3, 2), ("end merge", 2, 0, 0), ("commit.payload", 2, 0, 0), ("replay.committed", 1, 3, 0), ("commit.words", 1, 3, 1),
    ("commit.words", 2, 0, 0),
]


def test_kills_at_chosen_points_lose_nothing(world, config, undisturbed):
    sweep = Disturbed(world, config, "points")
    kills, sweeps = 0, 1
    for event, at, ranks, rank in POINTS:
        for attempt in range(3):
            result = run(sweep.file, ranks=ranks, fault=f"event={event};at={at};rank={rank}")
            assert result.code in AFTER_A_KILL, f"{event} at {at}: {result}"
            sweep.check()
            if result.code != 0:
                kills += 1
                break
            # The sweep ended before the event came so many times: a new one has more ahead.
            sweep.complete(undisturbed)
            sweeps += 1
            sweep = Disturbed(world, config, f"points-{sweeps}")
            if event == "replay.committed":
                assert run(sweep.file, fault="event=journal.append;at=3").code == KILLED
        else:
            raise AssertionError(f"{event} never came {at} times in rank {rank} of {ranks}")
    sweep.complete(undisturbed)
    print(f"{kills} kills at chosen points over {sweeps} sweeps")
    assert kills == len(POINTS)


def test_a_kill_between_growing_and_renaming_keeps_the_old_store(world, config, undisturbed):
    sweep = Disturbed(world, config, "growing")
    smaller = fault_sweep(world)
    smaller["grid"]["degrees"] = [0, 20]
    worlds.write(smaller, sweep.file.parent)
    assert run(sweep.file).code == 0
    sweep.check()
    worlds.write(config, sweep.file.parent)
    for event in ("fit.column", "fit.written", "fit.renamed"):
        result = run(sweep.file, fault=f"event={event}")
        assert result.code == KILLED, str(result)
        sweep.check()
    assert sweep.kept
    sweep.complete(undisturbed)


def test_a_kill_while_a_merged_model_is_represented_leaves_nothing_behind(world, config, undisturbed):
    sweep = Disturbed(world, config, "merged-features")
    fewer = fault_sweep(world)
    del fewer["grid"]["method"][2:]  # then all that is left to write are features of merged models
    worlds.write(fewer, sweep.file.parent)
    assert run(sweep.file).code == 0
    sweep.check()
    worlds.write(config, sweep.file.parent)
    result = run(sweep.file, fault="event=safetensors.body;at=3")
    assert result.code == KILLED, str(result)
    (left,) = (sweep.side / "cache" / "features").glob(".*.tmp")  # of three, since what was used has gone
    sweep.check()
    sweep.complete(undisturbed)
    assert not left.exists()


def test_every_journaled_result_is_recovered(world, config, undisturbed):
    sweep = Disturbed(world, config, "journal")
    rare = {**config, "run": {**config["run"], "commit_seconds": 1000}}
    worlds.write(rare, sweep.file.parent)
    result = run(sweep.file, fault="event=journal.append;at=40")
    assert result.code == KILLED, str(result)
    result = run(sweep.file, fault="event=journal.append;at=1")
    assert "recovered 40 results" in result.err, str(result)
    sweep.check()
    worlds.write(config, sweep.file.parent)
    assert "recovered 1 results" in sweep.complete(undisturbed).err


def kill_at_random(sweep, draw, kind, ranks):
    """Starts the sweep and kills it: at a named event, or some time after it started, began its tasks or committed new rows."""
    if kind == "point":
        event, at, _, _ = draw.choice(POINTS)
        fault = f"event={event};at={draw.randrange(1, 2 * at + 1)};rank={draw.randrange(max(1, ranks))}"
        result = run(sweep.file, ranks=ranks, fault=fault)
        assert result.code in AFTER_A_KILL, f"{fault}: {result}"
        return result.code, fault
    said = tempfile.TemporaryFile("w+", errors="replace")  # no pipe, which would be full before anybody reads it
    process = subprocess.Popen(program.command(sweep.file, ranks=ranks), env=environment(), start_new_session=True, stdout=said, stderr=said)
    waits = draw.choice(["start", "tasks", "tasks", "rows"])
    wanted, before = len(sweep.kept) + draw.randrange(1, 40), program.flights(sweep.store)
    come = {"start": lambda: True, "tasks": lambda: program.flights(sweep.store) != before, "rows": lambda: program.committed(sweep.store) >= wanted}[waits]
    while process.poll() is None and not come():
        time.sleep(0.01)
    moment = draw.uniform(0, {"start": 1, "tasks": 1, "rows": 0.3}[waits])
    time.sleep(moment)
    below = program.descendants(process.pid)
    program.kill(*{"all": [process.pid, *below], "worker": below[-1:], "first": below[:1], "mpirun": [process.pid]}[kind])
    code, where = process.wait(timeout=120), f"{moment:.3f} s after the {waits}" + (f", {wanted} in all" if waits == "rows" else "")
    with said:
        said.seek(0)
        assert code in AFTER_A_KILL, f"{kind} of {ranks or 1} ranks, {where}: exit {code}, which no kill gives\n{said.read()}"
    return code, where


def test_kills_at_random_moments_lose_nothing(world, config, undisturbed, kills, kinds, seed):
    """All ranks, one worker, rank 0, mpirun, or at a named event; whenever a sweep comes to its end, a new one starts."""
    print(f"{kills} kills of {', '.join(kinds)}; seed {seed}")
    draw = random.Random(seed)
    done, sweeps, by_kind = 0, 1, dict.fromkeys(kinds, 0)
    sweep = Disturbed(world, config, f"random-{sweeps}")
    kept = 0
    while done < kills:
        kind = kinds[done % len(kinds)]
        ranks = draw.choice([2, 3, 4] if kind in ("worker", "first", "mpirun") else [0, 2, 3, 4])
        code, where = kill_at_random(sweep, draw, kind, ranks)
        print(f"kill {done + (code != 0)}: {kind} of {ranks or 1} ranks, {where}: exit {code}")
        done += code != 0
        by_kind[kind] += code != 0
        sweep.check()
        if code == 0:  # the kill came too late; it does not count
            kept += len(sweep.kept)
            sweep.complete(undisturbed)
            shutil.rmtree(sweep.file.parent)
            sweeps += 1
            sweep = Disturbed(world, config, f"random-{sweeps}")
    kept += len(sweep.kept)
    sweep.complete(undisturbed)
    print(f"{done} kills ({', '.join(f'{count} {kind}' for kind, count in by_kind.items())}) over {sweeps} sweeps, seed {seed}: "
          f"{kept} rows were finished before a kill, 0 of them lost")


def test_a_row_that_is_computed_again_is_never_committed_half(world, config, undisturbed):
    """Its old commit word goes before its new values come: whenever the process dies, the row is as it was, pending, or new."""
    first = Disturbed(world, config, "again")
    result = run(first.file, fault="event=task ensemble_probabilities of code+math at degree 20, layer none, seed 1;signal=throw")
    assert result.code == program.SOME_FAILED, str(result)
    first.check()
    for event, at in (("commit.begin", 1), ("commit.column", 1), ("commit.cleared", 1), ("commit.column", 6), ("commit.payload", 1), ("commit.words", 1)):
        sweep = Disturbed(world, config, f"again-{event}-{at}")
        shutil.rmtree(sweep.file.parent)
        shutil.copytree(first.file.parent, sweep.file.parent)
        sweep.kept = dict(first.kept)
        result = run(sweep.file, fault=f"event={event};at={at}")
        assert result.code == KILLED, f"{event}: {result}"
        program.run_well("verify", sweep.store)
        sweep.check()
        again = [row for key, row in program.labelled_rows(sweep.store).items() if key not in first.kept]
        (row,) = again
        assert row["commit"] == 0 or row["status"] in (program.FAILED, program.DONE)
        sweep.complete(undisturbed)


# ---- disks

@contextmanager
def small_disk(folder, size):
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def test_a_disk_too_small_for_the_store_is_said_at_once(world, config, undisturbed):
    with small_disk(world.root / "full-at-first", "64k"):
        sweep = Disturbed(world, config, "full-at-first")
        result = run(sweep.file)
        assert result.code == 3, str(result)
        assert "No space left" in result.err or "disk is full" in result.err, str(result)
        remount(sweep.file.parent, "size=64m")
        sweep.complete(undisturbed)


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_disk_that_fills_up_stops_the_sweep_and_loses_nothing(world, config, undisturbed, ranks):
    with small_disk(world.root / f"filling-{ranks}", "64m") as folder:
        sweep = Disturbed(world, config, f"filling-{ranks}")
        # A rank stops just before it writes a checkpoint, so that the disk is full when it does.
        rank = 1 if ranks else 0
        process = subprocess.Popen(program.command(sweep.file, ranks=ranks), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment(f"event=safetensors.body;at=2;rank={rank};signal=STOP"))
        pids = lambda: [process.pid, *program.descendants(process.pid)]  # noqa: E731
        program.wait_for(lambda: any(program.state(pid) == "T" for pid in pids()), process)
        with open(folder / "filler", "wb") as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
                    filler.flush()
            except OSError:
                pass
        for pid in pids():
            os.kill(pid, signal.SIGCONT)
        result = program.finish(process)
        assert result.code == 3, str(result)
        assert "No space left" in result.err and "run again" in result.err, str(result)
        sweep.check()
        assert not (set(program.statuses(sweep.store)) & {program.FAILED}), "rows failed for the disk's sake"
        (folder / "filler").unlink()
        sweep.complete(undisturbed)


def test_a_read_only_disk_is_said_at_once_and_changes_nothing(world, config, undisturbed):
    with small_disk(world.root / "read-only", "64m") as folder:
        sweep = Disturbed(world, config, "read-only")
        remount(folder, "ro")
        result = run(sweep.file)
        assert result.code == 2, str(result)
        assert "Read-only file system" in result.err or "cannot" in result.err, str(result)
        remount(folder, "rw")
        assert [path.name for path in folder.iterdir()] == [sweep.file.name]
        sweep.complete(undisturbed)


# ---- damaged files

def stopped_halfway(sweep):
    result = run(sweep.file, fault="event=journal.append;at=30;signal=USR1")
    assert result.code == 75, str(result)
    sweep.check()


def test_truncated_checkpoints_are_made_again(world, config, undisturbed):
    sweep = Disturbed(world, config, "truncated")
    stopped_halfway(sweep)
    files = sorted((sweep.side / "checkpoints").glob("*.safetensors"))
    assert files
    for number, file in enumerate(files):
        with open(file, "r+b") as open_file:
            open_file.truncate([3, 100, file.stat().st_size - 1][number % 3])
    sweep.complete(undisturbed)


@pytest.mark.parametrize("damage", ["torn", "zeroed"])
def test_a_journal_with_a_bad_tail_is_used_up_to_it(world, config, undisturbed, damage):
    sweep = Disturbed(world, config, damage)
    rare = {**config, "run": {**config["run"], "commit_seconds": 1000}}
    worlds.write(rare, sweep.file.parent)
    assert run(sweep.file, fault="event=journal.append;at=30").code == KILLED
    (journal,) = (sweep.side / "journal").glob("*.journal")
    size = journal.stat().st_size
    with open(journal, "r+b") as file:
        if damage == "torn":
            file.truncate(size - 7)
        else:
            file.seek(size - 9)
            file.write(bytes(9))
    worlds.write(config, sweep.file.parent)
    result = sweep.complete(undisturbed)
    assert "recovered 29 results" in result.err and "29 records before it are kept" in result.err, str(result)


# ---- ranks that hang or crash

def test_a_stopped_worker_is_reported_and_may_go_on(world, config, undisturbed):
    sweep = Disturbed(world, {**config, "run": {**config["run"], "task_timeout": "30s"}}, "hanging")
    process = subprocess.Popen(program.command(sweep.file, ranks=3), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment("event=task specialise code, seed 0;signal=STOP"))
    said = ""
    while not re.search(r"rank [12]: no safe point for too long: specialise code, seed 0", said):
        line = process.stderr.readline()
        assert line, said
        said += line
    for pid in program.descendants(process.pid):
        os.kill(pid, signal.SIGCONT)
    result = program.finish(process)
    assert result.code == 0, said + str(result)
    assert "reached a safe point again" in result.err
    sweep.check()
    program.assert_same_results(sweep.store, undisturbed)


def test_a_task_that_crashes_its_process_is_found_out_and_the_rest_completes(world, config, undisturbed):
    sweep = Disturbed(world, config, "crashing")
    fault = "event=task route of code+math at degree 20, layer all, seed 1;signal=SEGV"
    starts = 0
    while True:
        result = run(sweep.file, ranks=3, fault=fault, quarantine="on")
        starts += 1
        sweep.check()
        if result.code in (0, 1) and "results failed" in result.err:
            break
        assert starts < 5, str(result)
    # Twice among others, once alone, and a last time without it.
    assert starts == 4, starts
    assert result.code == 1, str(result)
    rows = program.labelled_rows(sweep.store)
    quarantined = [row for row in rows.values() if row["status"] == 3]
    assert quarantined
    assert all(b"quarantined: the process died 3 times" in row["message"] and b"SIGSEGV" in row["message"] for row in quarantined)
    assert all(row["status"] == program.DONE for row in rows.values() if row["status"] != 3)
    # It stays so, until somebody releases it.
    again = run(sweep.file, ranks=3, quarantine="on")
    assert again.code == 1 and "everything is done" in again.err, str(again)
    (sweep.side / "suspects.json").unlink()
    sweep.complete(undisturbed)


@pytest.mark.parametrize("ranks", [0, 3])
def test_memory_that_runs_out_three_times_quarantines(world, config, ranks):
    """kill -9 leaves no crash record; the task in flight is the only trace. mpirun takes the other ranks down: their tasks are innocent."""
    sweep = Disturbed(world, config, f"killed-for-memory-{ranks}")
    label = "ensemble_probabilities of code+math at degree 40, layer none, seed 0"
    starts, code = 0, None
    while code != 1:
        code = run(sweep.file, ranks=ranks, fault=f"event=task {label}", quarantine="on").code
        starts += 1
        assert starts < 7
        if starts > 1:
            assert [entry["label"] for entry in json.loads((sweep.side / "suspects.json").read_text())] == [label]
    assert starts == 5, starts  # three unclean ends, once alone, and a last time without it
    assert {row["status"] for row in program.labelled_rows(sweep.store).values()} == {program.DONE, 3}
