#!/usr/bin/env python3
"""Many ranks on few cores: a sweep of cheap experiments is run, killed at its second commit, continued with 5 ranks, and compared with
the store of one rank. Prints what it measured: memory of idle ranks, start, commits.

    many_ranks.py --ranks 256      # about 16 GB of memory and some minutes on 2 cores
"""
import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))

import program  # noqa: E402
import world as worlds  # noqa: E402

CONTINUED_WITH = 5
PATIENCE = 1200  # seconds for anything; 256 processes start slowly on 2 cores


def cheap_sweep(world: worlds.World, ranks: int) -> dict:
    """Some tasks a rank, each of milliseconds: many degrees and layers, methods that train nothing."""
    config = world.sweep("many")
    steps = 4 * (20 if ranks <= 64 else 40)
    config["sweep"]["seeds"] = [0, 1, 2]
    config["finetune"].update(steps=steps, batch=4)
    config["grid"].update(degrees=list(range(0, steps + 1, 4)), layers=["all", "each"], method=[
        {"name": "average", "alpha": [0.1, 0.3, 0.5, 0.7, 0.9]}, {"name": "task_arithmetic", "lambda": [0.2, 0.4, 0.6, 0.8, 1.0]},
        {"name": "interpolate_features", "alpha": [0.25, 0.5, 0.75]}, {"name": "ensemble_probabilities", "alpha": [0.25, 0.5, 0.75]}])
    config["run"]["commit_seconds"] = 0.5
    return config


def memory(pid: int) -> dict[str, float]:
    """MB of one process: resident, its share of what is shared, and what is its own."""
    found = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0.0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name = line.split(":")[0]
        if name in found:
            found[name] = int(line.split()[1]) * 1024 / 1e6
    return {"resident": found["Rss"], "share": found["Pss"], "own": found["Private_Clean"] + found["Private_Dirty"]}


def ranks_of(process) -> dict[int, int]:
    """Process by rank."""
    found = {}
    for pid in program.descendants(process.pid):
        variables = dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair)
        if "OMPI_COMM_WORLD_RANK" in variables:
            found[int(variables["OMPI_COMM_WORLD_RANK"])] = pid
    return found


def killed_at_a_commit(file: Path, store: Path, ranks: int) -> dict:
    """Starts the sweep, looks at it while ranks have nothing to do yet, and kills it when rank 1 stands at the begin of the second
    collective commit, so that all others wait for it there, however fast they are."""
    started = time.monotonic()
    process = program.start("-q", file, ranks=ranks, fault="event=commit.begin;at=2;rank=1;signal=STOP")
    try:
        program.wait_for(lambda: program.flights(store), process, PATIENCE)
        begun = time.monotonic() - started
        busy = {int(name[5:11]) for name in program.flights(store)}
        pids = ranks_of(process)
        assert len(pids) == ranks, f"{len(pids)} ranks were found"
        idle = [memory(pid) for rank, pid in sorted(pids.items()) if rank > 0 and rank not in busy]
        total = [sum(memory(pid)["share"] for pid in pids.values())]
        program.wait_for(lambda: program.state(pids[1]) == "T", process, PATIENCE)
        total.append(sum(memory(pid)["share"] for pid in pids.values()))
    finally:
        status = program.status_file(store)
        program.kill(process.pid, *program.descendants(process.pid))
        process.wait()
    return {"seconds to the first task": begun, "idle": idle, "MB of all ranks": total, "status": status}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=16, help="of the run that is killed, rank 0 included (16)")
    parser.add_argument("--folder", type=Path, help="where to work; removed at the end unless given")
    options = parser.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="many-ranks-"))
    try:
        program.keep_mpi_files_in(root / "mpi")
        world = worlds.World(root / "world").make_base(program.run_well)
        config = cheap_sweep(world, options.ranks)
        alone = worlds.write(config, root / "alone")
        started = time.monotonic()
        program.run_well("-q", alone, timeout=PATIENCE)
        print(f"1 rank: {time.monotonic() - started:.1f} s, {len(program.statuses(worlds.store_of(alone, config)))} experiments", flush=True)

        file = worlds.write(config, root / "many")
        store = worlds.store_of(file, config)
        seen = killed_at_a_commit(file, store, options.ranks)
        status, idle = seen["status"], seen["idle"]
        print(f"{options.ranks} ranks: {seen['seconds to the first task']:.1f} s to the first task; killed after {status['elapsed']:.1f} s at "
              f"{status['done']} of {status['total']} results, at the second collective commit", flush=True)
        for what in ("resident", "share", "own") if idle else ():  # few ranks may all be busy at once
            values = [of[what] for of in idle]
            print(f"  {what} memory of {len(idle)} idle ranks, MB: mean {statistics.mean(values):.1f}, most {max(values):.1f}")
        print("  all ranks together: {:.2f} GB at the start, {:.2f} GB when it was killed".format(*(total / 1e3 for total in seen["MB of all ranks"])), flush=True)

        rows = program.labelled_rows(store)
        kept = {key: row for key, row in rows.items() if row["commit"] != 0 and row["status"] == program.DONE}
        assert kept, "nothing was committed before the kill"
        started = time.monotonic()
        program.run_well("-q", file, ranks=CONTINUED_WITH, timeout=PATIENCE)
        print(f"{CONTINUED_WITH} ranks: {time.monotonic() - started:.1f} s for the rest; {len(kept)} committed rows were kept", flush=True)
        program.assert_rows_kept(kept, program.labelled_rows(store))
        program.assert_all_done(store)
        program.assert_same_results(store, worlds.store_of(alone, config))
        program.run_well("verify", store)
        print("the store equals that of one rank, bit for bit")
    finally:
        if not options.folder:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
