"""Faults on purpose: kills at chosen points and random moments, full and read-only disks, damaged files, stopped and crashing ranks.

After each the same command continues, completes, has lost nothing that was finished, and the store has the bits of an undisturbed
run. FAULT_KILLS=300 makes the random part long; FAULT_SEED chooses its moments, which are printed.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

import program
import world as worlds

KILLS = int(os.environ.get("FAULT_KILLS", "16"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
KILLED = -signal.SIGKILL


def environment(fault="", quarantine="off"):
    return {**program.ENVIRONMENT, "CMSWEEP_QUARANTINE": quarantine, **({"CMSWEEP_FAULT": fault} if fault else {})}


def run(file, ranks=0, fault="", quarantine="off", timeout=120):
    done = subprocess.run(program.command(file, ranks=ranks), env=environment(fault, quarantine), capture_output=True, text=True, timeout=timeout)
    return program.Result(done.returncode, done.stdout, done.stderr)


def fault_sweep(world):
    """Some three seconds on one worker: every kind of task, a commit every 0.1 s."""
    config = world.sweep("long")
    config["finetune"].update(steps=40, batch=8)
    config["grid"].update(degrees=[0, 20, 40], layers=["all", "each"])
    config["similarity"].update(against=["pair", "base"])
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

# In the order in which one sweep can meet them: (event, its how-manieth time, ranks, which rank).
POINTS = [
    ("fit.column", 30, 0, 0), ("fit.written", 1, 3, 0), ("fit.renamed", 1, 0, 0),
    ("safetensors.body", 1, 0, 0), ("file.rename", 4, 3, 1), ("safetensors.body", 2, 3, 2),
    ("journal.append", 1, 0, 0), ("journal.append", 5, 3, 1), ("replay.committed", 1, 0, 0),
    ("commit.begin", 1, 3, 2), ("commit.column", 3, 3, 0), ("commit.column", 9, 3, 1), ("commit.payload", 1, 3, 2),
    ("commit.payload", 2, 0, 0), ("replay.committed", 1, 3, 0), ("commit.words", 1, 3, 1), ("commit.words", 2, 0, 0),
]


def test_kills_at_chosen_points_lose_nothing(world, config, undisturbed):
    sweep = Disturbed(world, config, "points")
    reached, sweeps = set(), 0
    for event, at, ranks, rank in POINTS:
        result = run(sweep.file, ranks=ranks, fault=f"event={event};at={at};rank={rank}")
        assert result.code in (0, KILLED, 137), f"{event} at {at}: {result}"
        sweep.check()
        if result.code == 0:  # not reached before the end: the next one disturbs a new sweep
            sweep.complete(undisturbed)
            sweeps += 1
            sweep = Disturbed(world, config, f"points-{sweeps}")
        else:
            reached.add(event)
    sweep.complete(undisturbed)
    print("reached:", sorted(reached))
    missed = {event for event, *_ in POINTS} - reached
    assert missed <= {"replay.committed"}, missed  # whether there is anything to replay depends on the moment of the kill before


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


def parent(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]
    except OSError:
        return ""


def descendants(pid):
    children = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit() and parent(entry.name) == str(pid)]
    return [entry for child in map(int, children) for entry in (child, *descendants(child))]


def state(pid):
    """One letter, as ps prints it: T is stopped."""
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_kills_at_random_moments_lose_nothing(world, config, undisturbed):
    """All ranks, one worker, rank 0, or mpirun; whenever a sweep comes to its end, a new one starts."""
    print(f"{KILLS} kills, seed {SEED}")
    draw = random.Random(SEED)
    done, sweeps = 0, 0
    sweep = Disturbed(world, config, f"random-{sweeps}")
    while done < KILLS:
        ranks = draw.choice([0, 2, 3, 4])
        victim = draw.choice(["all", "worker", "first", "mpirun"]) if ranks else "all"
        process = subprocess.Popen(program.command(sweep.file, ranks=ranks), env=environment(), start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Two thirds of the moments lie anywhere, a third shortly after new rows were committed.
        wanted = draw.choice([0, 0, 1]) * draw.randrange(1, 60) + len(sweep.kept)
        if wanted > len(sweep.kept):
            while process.poll() is None and program.committed(sweep.store) < wanted:
                time.sleep(0.01)
        moment = draw.uniform(0, 0.3) if wanted > len(sweep.kept) else draw.uniform(0.3, 3)
        time.sleep(moment)
        below = descendants(process.pid)
        {"all": lambda: [kill(pid) for pid in [process.pid, *below]], "worker": lambda: [kill(pid) for pid in below[-1:]],
         "first": lambda: [kill(pid) for pid in below[:1]], "mpirun": lambda: kill(process.pid)}[victim]()
        code = process.wait(timeout=60)
        print(f"kill {done}: {victim} of {ranks or 1} ranks, {moment:.3f} s after {wanted} rows: exit {code}")
        done += code != 0
        sweep.check()
        if code == 0:  # the kill came too late; it does not count
            sweep.complete(undisturbed)
            shutil.rmtree(sweep.file.parent)
            sweeps += 1
            sweep = Disturbed(world, config, f"random-{sweeps}")
    sweep.complete(undisturbed)
    print(f"{done} kills over {sweeps + 1} sweeps")


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
        pids = lambda: [process.pid, *descendants(process.pid)]  # noqa: E731
        program.wait_for(lambda: any(state(pid) == "T" for pid in pids()), process)
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
    process = subprocess.Popen(program.command(sweep.file), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    program.wait_for(lambda: program.committed(sweep.store) > 15, process)
    process.send_signal(signal.SIGUSR1)
    assert program.finish(process).code == 75
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
    sweep = Disturbed(world, {**config, "run": {**config["run"], "task_timeout": "2s"}}, "hanging")
    process = subprocess.Popen(program.command(sweep.file, ranks=3), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment("event=task specialise code, seed 0;signal=STOP"))
    said = ""
    while "no safe point for" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    assert re.search(r"rank [12]: no safe point for too long: specialise code, seed 0", said), said
    for pid in descendants(process.pid):
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


def test_memory_that_runs_out_three_times_quarantines(world, config):
    """kill -9 leaves no crash record; the task in flight is the only trace."""
    sweep = Disturbed(world, config, "killed-for-memory")
    fault = "event=task ensemble_probabilities of code+math at degree 40, layer none, seed 0"
    starts, code = 0, None
    while code != 1:
        code = run(sweep.file, fault=fault, quarantine="on").code
        starts += 1
        assert starts < 7
    assert starts == 5, starts  # three unclean ends, once alone, and a last time without it
    assert {row["status"] for row in program.labelled_rows(sweep.store).values()} == {program.DONE, 3}
