"""Running cmsweep, and reading what it stored."""
from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

CMSWEEP = os.environ.get("CMSWEEP", str(Path(__file__).resolve().parents[2] / "build/release/bin/cmsweep"))
TABLES = ("experiments", "similarity", "training", "routing")
HOW_IT_WAS_MADE = {"rank", "attempt", "seconds", "note_check"}  # columns that may differ between two runs of one sweep
DONE, FAILED, STOPPED, WRONG_INPUT, SOME_FAILED = 1, 2, 75, 2, 1

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
for _name in [name for name in ENVIRONMENT if name.startswith("SLURM_")]:
    del ENVIRONMENT[_name]  # the tests' own allocation is not the sweep's


def keep_mpi_files_in(folder: Path) -> None:
    """Open MPI's temporary files and shared memory, of which every hard kill leaves some MB behind, go where they are removed."""
    folder.mkdir(parents=True)
    ENVIRONMENT.update(OMPI_MCA_orte_tmpdir_base=str(folder), OMPI_MCA_btl_vader_backing_directory=str(folder))


@dataclass
class Result:
    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def command(*arguments, ranks: int = 0) -> list[str]:
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
    return launcher + [CMSWEEP, *map(str, arguments)]


def environment(fault: str = "") -> dict[str, str]:
    """`fault`: something that the program does to itself at a named event, as include/cmsweep/base/fault_point.hpp describes it."""
    return {**ENVIRONMENT, **({"CMSWEEP_FAULT": fault} if fault else {})}


def run(*arguments, ranks: int = 0, timeout: float = 300, fault: str = "") -> Result:
    """Runs to the end. `ranks` = 0: without mpirun."""
    done = subprocess.run(command(*arguments, ranks=ranks), env=environment(fault), capture_output=True, text=True, timeout=timeout)
    return Result(done.returncode, done.stdout, done.stderr)


def run_well(*arguments, ranks: int = 0, timeout: float = 300) -> Result:
    result = run(*arguments, ranks=ranks, timeout=timeout)
    assert result.code == 0, f"{' '.join(map(str, arguments))}: {result}"
    return result


def start(*arguments, ranks: int = 0, fault: str = "", **variables: str) -> subprocess.Popen:
    """Starts in a process group of its own, so that all of it can be signalled; `variables` of the environment besides."""
    return subprocess.Popen(command(*arguments, ranks=ranks), env={**environment(fault), **variables}, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen, timeout: float = 300) -> Result:
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out, err)


# ---- processes

def _field_of_stat(pid, place: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[place]
    except OSError:
        return ""


def state(pid: int) -> str:
    """One letter, as ps prints it: T is stopped, Z a zombie; empty if there is no such process."""
    return _field_of_stat(pid, 0)


def descendants(pid: int) -> list[int]:
    children = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit() and _field_of_stat(entry.name, 1) == str(pid)]
    return [entry for child in children for entry in (child, *descendants(child))]


def kill(*pids: int) -> None:
    """SIGKILL for those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


# ---- stores

def committed(store: Path, table: str = "experiments") -> int:
    """Committed rows, also while a sweep runs; 0 before there is a store."""
    try:
        with h5py.File(store, "r") as file:
            return int(np.count_nonzero(file[table]["commit"][:]))
    except OSError:
        return 0


def has_results(store: Path) -> bool:
    """Is anything computed, committed or still in a journal? Under load commits are far apart."""
    journals = store.with_suffix(".d").glob("journal/*")
    try:
        return any(journal.stat().st_size > 0 for journal in journals) or committed(store) > 0
    except FileNotFoundError:  # a journal that was there a moment ago
        return True


def status_file(store: Path) -> dict:
    """What the running sweep last said of itself; empty before the first time."""
    try:
        return json.loads((store.with_suffix(".d") / "status.json").read_text())
    except FileNotFoundError:
        return {}


def flights(store: Path) -> dict[str, tuple[str, int]]:
    """The task of every rank that computes one, by the name of its flight record, and since when (nanoseconds)."""
    found = {}
    for entry in (store.with_suffix(".d") / "flight").glob("*.flight"):
        try:
            if note := entry.read_text().rstrip("\n"):
                found[entry.name] = note[39:], entry.stat().st_mtime_ns  # id, " alone " or " among ", label
        except FileNotFoundError:
            pass
    return found


def wait_for(condition, process: subprocess.Popen, timeout: float = 120) -> None:
    """Until the condition holds; fails if the process ends before."""
    end = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, f"the sweep ended before it could be disturbed: {finish(process)}"
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.02)


def columns(store: Path, table: str) -> dict[str, np.ndarray]:
    """Every column of a table, as stored; scales of dimensions are left out. Commit words are read first: while ranks still write,
    a row that was committed then has all its values, whenever these are read."""
    with h5py.File(store, "r") as file:
        found = {"commit": file[table]["commit"][:]}
        return found | {name: data[:] for name, data in file[table].items()
                        if name != "commit" and data.attrs.get("CLASS") != b"DIMENSION_SCALE"}


def statuses(store: Path, table: str = "experiments", in_plan: int = 1) -> list[int]:
    data = columns(store, table)
    return list(data["status"][data["in_plan"] == in_plan])


def assert_all_done(store: Path) -> None:
    for table in TABLES:
        assert set(statuses(store, table)) <= {DONE}, f"{table}: {statuses(store, table)}"


def assert_same_results(a: Path, b: Path) -> None:
    """Two stores of one plan hold the same bits in every column that does not tell how they were made."""
    for table in TABLES:
        first, second = columns(a, table), columns(b, table)
        assert first.keys() == second.keys()
        assert len(first["id"]) > 0 or table == "routing"
        for name in first.keys() - HOW_IT_WAS_MADE:
            assert first[name].shape == second[name].shape, f"{table}/{name}"
            different = np.flatnonzero([x.tobytes() != y.tobytes() for x, y in zip(first[name], second[name])])
            assert different.size == 0, (f"{table}/{name}: rows {different[:5]} of {len(first[name])} differ: "
                                         f"{first[name][different[:2]]} and {second[name][different[:2]]}")


def names_of(store: Path, axis: str) -> list[str]:
    with h5py.File(store, "r") as file:
        return [name.decode() for name in file[f"axes/{axis}/name"][:]]


def labelled_rows(store: Path, table: str = "experiments") -> dict[tuple, dict[str, np.ndarray]]:
    """Rows by their id and labels, names instead of codes; the values of every column of the row."""
    data = columns(store, table)
    coded, plain = {}, []
    with h5py.File(store, "r") as file:
        for name in data:
            axis = file[table][name].attrs.get("axis_table")
            if axis is not None:
                coded[name] = [text.decode() for text in file[axis]["name"][:]]
    plain = [name for name in ("seed", "seed_b", "degree", "degree_a", "degree_b", "layer_first", "layer_last") if name in data]
    rows = {}
    for row in range(len(data["id"])):
        def names(column):
            return tuple(coded[column][code] for code in np.atleast_1d(data[column][row]) if code >= 0)
        key = (data["id"][row].decode(), *(names(column) for column in sorted(coded)),
               *(tuple(value for value in np.atleast_1d(data[column][row]) if value >= 0) for column in plain))
        assert key not in rows, f"{table}: two rows are {key}"
        rows[key] = {name: values[row] for name, values in data.items()}
    return rows


def same_values(old, new) -> bool:
    """Bit for bit; the new row's dimensions may have grown."""
    old, new = np.asarray(old), np.asarray(new)
    return new[tuple(slice(size) for size in old.shape)].tobytes() == old.tobytes()


def assert_rows_kept(before: dict, after: dict) -> None:
    """Every row of `before` is in `after`, computed once: the same bits, `attempt`, `rank` and `seconds` included."""
    for key, row in before.items():
        assert key in after, f"lost: {key}"
        for name, value in row.items():
            if name == "in_plan" or (name == "label_check" and row["in_plan"] != after[key]["in_plan"]):
                continue
            assert same_values(value, after[key][name]), f"{name} of {key}: {value} became {after[key][name]}"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def snapshot(folder: Path) -> dict:
    """Everything below a folder: kind, time of the last change, content."""
    tree = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        tree[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, digest(path) if path.is_file() else None)
    return tree
