"""The batch scripts and the program under a real Slurm, with virtual nodes on this machine.

Where a sweep has to be met at work, it waits for the test: CMSWEEP_FAULT stops whichever rank begins a certain task, as SIGSTOP
does, and the test continues it when what it wants to see has happened. So nothing here depends on who is faster.
"""
import json
import os
import re
import signal
from pathlib import Path

import pytest

import program
import world as worlds
from cluster import wait_for

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "jobs").glob("*.sbatch"))
HELD = "specialise code, seed 0"  # early, and most of the rest needs it
GOING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED")  # states of a job that has not ended


class Job:
    """One submitted job, or one place of an array."""

    def __init__(self, slurm, name, log):
        self.slurm, self.name, self.log_file = slurm, name, log

    def show(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.slurm.run("scontrol", "show", "job", "--oneliner", self.name).stdout.split() if "=" in word)

    @property
    def state(self) -> str:
        return self.show()["JobState"]

    @property
    def restarts(self) -> int:
        return int(self.show()["Restarts"])

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def processes(self) -> list[int]:
        return self.slurm.processes(self.show()["JobId"])

    def held(self) -> list[int]:
        """The ranks that CMSWEEP_FAULT stopped."""
        return [pid for pid in self.processes() if state_of(pid) == "T"]

    def go_on(self) -> None:
        for pid in self.held():
            os.kill(pid, signal.SIGCONT)

    def __str__(self):
        return f"job {self.name}: {self.show()}\n{self.log}\n{self.slurm.logs()}"

    def wait(self, condition, timeout=300):
        """Fails where the job ends without it."""
        def alive():
            assert self.state in GOING or condition(), str(self)
        return wait_for(condition, lambda: str(self), timeout, alive)

    def ended(self) -> dict[str, str]:
        """Waits for the end; ranks that are held go on, and a job that is queued again need not wait its two minutes. But the next
        second: a node refuses a job that was killed in the second of its new start."""
        hastened = set()

        def over():
            shown = self.show()
            if shown["JobState"] == "PENDING" and shown["Restarts"] not in {"0", *hastened}:
                if self.slurm.run("scontrol", "update", f"JobId={self.name}", "StartTime=now+2", check=False).returncode == 0:
                    hastened.add(shown["Restarts"])
            self.go_on()
            return shown if shown["JobState"] not in GOING else None
        return wait_for(over, lambda: str(self))

    def completed(self) -> None:
        shown = self.ended()
        assert (shown["JobState"], shown["ExitCode"]) == ("COMPLETED", "0:0"), str(self)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def environment_of(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


class Desk:
    """The folder of submission, and what every job is submitted with."""

    def __init__(self, slurm, folder):
        self.slurm, self.folder = slurm, folder
        (folder / "jobs").symlink_to(ROOT / "jobs")
        (folder / "tmp").mkdir()
        self.environment = {
            "CMSWEEP": program.CMSWEEP, "TMPDIR": str(folder / "tmp"), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1",  # more ranks than cores
            # The virtual nodes share one /dev/shm, where both would name their segments alike.
            "OMPI_MCA_btl": "self,tcp", "OMPI_MCA_btl_tcp_if_include": "lo",
        }

    def submit(self, script, *configs, options=(), hold=True, **environment) -> Job:
        held = {"CMSWEEP_FAULT": f"event=task {HELD};signal=STOP"} if hold else {}
        log = self.folder / "%A_%a.log" if script == "array.sbatch" else self.folder / "%j.log"
        said = self.slurm.run("sbatch", "--parsable", f"--output={log}", *options, f"jobs/{script}", *configs, cwd=self.folder,
                              env={**self.environment, **held, **environment})
        number = said.stdout.strip()
        return Job(self.slurm, number, Path(str(log).replace("%j", number)))

    def place(self, array: Job, index: int) -> Job:
        return Job(self.slurm, f"{array.name}_{index}", self.folder / f"{array.name}_{index}.log")


@pytest.fixture(scope="session")
def desk(slurm, tmp_path_factory):
    return Desk(slurm, tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="session")
def undisturbed(world):
    config = world.long_sweep()
    file = worlds.write(config, world.root / "undisturbed")
    program.run_well(file)
    return worlds.store_of(file, config)


class Sweep:
    def __init__(self, world, name):
        config = world.long_sweep()
        self.file = worlds.write(config, world.root / name)
        self.store = worlds.store_of(self.file, config)
        self.side = self.store.with_suffix(".d")

    def state(self) -> str:
        try:
            return json.loads((self.side / "status.json").read_text())["state"]
        except FileNotFoundError:
            return ""

    def finished(self) -> dict[str, dict]:
        """Committed rows that are done, of every table."""
        return {table: {key: row for key, row in program.labelled_rows(self.store, table).items() if row["status"] == program.DONE and row["commit"] != 0}
                for table in program.TABLES}

    def assert_whole(self, undisturbed, finished) -> None:
        program.assert_same_results(self.store, undisturbed)
        for table, rows in finished.items():
            program.assert_rows_kept(rows, program.labelled_rows(self.store, table))


def hold_at_work(job: Job, sweep: Sweep) -> None:
    """Until one rank is held and others have finished something."""
    job.wait(lambda: job.held() and program.has_results(sweep.store))


# ---- jobs that take a minute by nature: all submitted at the start, so that the others run meanwhile

@pytest.fixture(scope="session", autouse=True)
def slow_jobs(desk, world):
    ranks = ("--nodes=1", "--ntasks=3")
    sweeps = {name: Sweep(world, name) for name in ("walltime", "walltime-array", "warned", "hung")}
    return {
        # A minute, of which the program takes a quarter for its grace; Slurm does not warn, and lets it be five
        # minutes late. (@1 would not do: Slurm warns up to a minute early.)
        "walltime": (sweeps["walltime"], desk.submit("one_node.sbatch", sweeps["walltime"].file, options=(
            *ranks, "--time=1", "--signal=B:USR1@0", "--partition=patient"))),
        "walltime-array": (sweeps["walltime-array"], desk.place(desk.submit("array.sbatch", sweeps["walltime-array"].file, options=(
            *ranks, "--array=0", "--time=1", "--signal=B:USR1@0", "--partition=patient")), 0)),
        # Warned by Slurm, at one of its looks at limits, when it has run for 10 to 40 s: long before the program would stop by itself.
        "warned": (sweeps["warned"], desk.submit("one_node.sbatch", sweeps["warned"].file, MAX_REQUEUES="0", options=(
            *ranks, "--time=10", "--signal=B:USR1@560"))),
        # Its held rank keeps it from stopping when it is warned; Slurm ends it at its limit.
        "hung": (sweeps["hung"], desk.submit("one_node.sbatch", sweeps["hung"].file, options=(*ranks, "--time=1"))),
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_batch_script_is_accepted_as_it_is(desk, script):
    said = desk.slurm.run("sbatch", "--test-only", f"jobs/{script}", "one.toml", "two.toml", cwd=desk.folder).stderr
    nodes, processors = {"many_nodes.sbatch": ("n[1-8]", 256)}.get(script, ("n1", 16))
    assert f"using {processors} processors" in said, said
    assert nodes in said or processors == 16, said


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_on_two_nodes_a_signal_stops_the_sweep_and_it_queues_itself_and_completes(desk, world, undisturbed, launcher):
    sweep = Sweep(world, f"two-nodes-{launcher}")
    job = desk.submit("many_nodes.sbatch", sweep.file, options=("--nodes=2", "--ntasks-per-node=2"), LAUNCHER=launcher)
    hold_at_work(job, sweep)
    ranks = [environment_of(pid) for pid in job.processes() if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(program.CMSWEEP)]
    assert sorted(rank["SLURMD_NODENAME"] for rank in ranks) == ["n1", "n1", "n2", "n2"]
    assert all(Path(rank["OMPI_MCA_orte_tmpdir_base"]).is_dir() and Path(rank["OMPI_MCA_btl_vader_backing_directory"]).is_dir() for rank in ranks)
    assert f"start 1: {launcher} " in job.log

    desk.slurm.run("scancel", "--batch", "--signal=USR1", job.name)
    job.wait(lambda: sweep.state() == "stopping")
    job.go_on()
    job.wait(lambda: job.restarts == 1)
    assert "stopped early (on request, SIGUSR1): run the same command again to continue" in job.log, str(job)
    assert "queueing the job again (1 of at most 20 times)" in job.log
    job.wait(lambda: job.state == "PENDING")
    finished = sweep.finished()
    assert any(finished.values()) and len(finished["experiments"]) < len(program.labelled_rows(sweep.store))
    program.run_well("verify", sweep.store)

    job.completed()
    assert job.restarts == 1 and f"start 2: {launcher} " in job.log
    sweep.assert_whole(undisturbed, finished)
    for rank in ranks:
        assert not Path(rank["OMPI_MCA_orte_tmpdir_base"]).exists() and not Path(rank["OMPI_MCA_btl_vader_backing_directory"]).exists()
    assert not list(desk.folder.glob(f".cmsweep-requeues-{job.name}*"))


def test_of_an_array_of_two_configs_only_the_one_that_stopped_is_queued_again(desk, world, undisturbed):
    """Even the last job of the array, whose number is the array's."""
    sweeps = [Sweep(world, f"array-{index}") for index in range(2)]
    array = desk.submit("array.sbatch", *(sweep.file for sweep in sweeps), options=("--array=0-1", "--ntasks=3"))
    jobs = [desk.place(array, index) for index in range(2)]
    for job, sweep in zip(jobs, sweeps):
        hold_at_work(job, sweep)
    last = next(index for index, job in enumerate(jobs) if job.show()["JobId"] == array.name)
    other = 1 - last
    desk.slurm.run("scancel", "--batch", "--signal=USR1", jobs[last].name)
    jobs[last].wait(lambda: sweeps[last].state() == "stopping")
    jobs[last].go_on()
    jobs[last].wait(lambda: jobs[last].restarts == 1)
    assert jobs[other].state == "RUNNING" and jobs[other].held()
    for job in jobs:
        job.completed()
    assert (jobs[last].restarts, jobs[other].restarts) == (1, 0)
    assert "start 2" not in jobs[other].log and "stopped early" not in jobs[other].log
    for sweep in sweeps:
        program.assert_same_results(sweep.store, undisturbed)


# Stands for the sweep where only what the script makes of it counts.
PRETENDED = """#!/bin/bash
echo "threads $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS, processors $SLURM_CPUS_PER_TASK, config $1"
exit $CODE
"""


@pytest.mark.parametrize("code", [1, 2, 3])
def test_other_exit_codes_are_the_jobs_and_nothing_is_queued_again(desk, tmp_path, code):
    pretended = tmp_path / "cmsweep"
    pretended.write_text(PRETENDED)
    pretended.chmod(0o755)
    job = desk.submit("one_node.sbatch", "mine.toml", options=("--ntasks=2", "--cpus-per-task=3"), CMSWEEP=str(pretended), CODE=str(code))
    shown = job.ended()
    assert (shown["JobState"], shown["ExitCode"], shown["Restarts"]) == ("FAILED", f"{code}:0", "0"), str(job)
    assert job.log.count("threads 3 3, processors 3, config mine.toml") == 2, str(job)


def test_what_is_missing_is_said(desk):
    for options, configs, environment, message in (
            ((), ["mine.toml"], {"CMSWEEP": "/nowhere/cmsweep"}, "/nowhere/cmsweep: no such program"),
            ((), [], {}, "usage: sbatch"), (("--array=0-1",), ["one.toml"], {"CMSWEEP": "/bin/true"}, "place 1 of --array: expected one of the 1 configs, 0 to 0")):
        job = desk.submit("array.sbatch" if options else "one_node.sbatch", *configs, options=options, hold=False, **environment)
        last = desk.place(job, 1) if options else job
        assert last.ended()["JobState"] == "FAILED" and message in last.log, str(last)
        if options:
            desk.place(job, 0).completed()


# ---- the jobs that were submitted at the start

@pytest.mark.parametrize("name", ["walltime", "walltime-array"])
def test_the_end_of_the_job_is_found_through_squeue_and_the_sweep_stops_before_it(slow_jobs, undisturbed, name):
    sweep, job = slow_jobs[name]
    job.wait(lambda: job.held() or job.restarts > 0)
    for pid in job.held():
        assert "SLURM_JOB_END_TIME" not in environment_of(pid), "then it is not squeue that is tested here"
    job.wait(lambda: sweep.state() == "stopping" or job.restarts > 0)
    job.completed()
    assert "stopped early (the walltime is nearly over): run the same command again to continue" in job.log, str(job)
    assert job.restarts >= 1
    program.assert_same_results(sweep.store, undisturbed)


def test_slurms_own_warning_stops_the_sweep_and_beyond_the_bound_it_is_not_queued_again(desk, slow_jobs, undisturbed):
    sweep, job = slow_jobs["warned"]

    def over():  # as it is at once where the warning came before the sweep was up
        return job.state not in ("PENDING", "CONFIGURING", "RUNNING")
    job.wait(lambda: job.held() or over())
    job.wait(lambda: sweep.state() == "stopping" or over())
    shown = job.ended()
    assert (shown["JobState"], shown["ExitCode"], shown["Restarts"]) == ("FAILED", "75:0", "0"), str(job)
    assert "queued again 0 times already: not again; submit the same job to continue" in job.log
    if sweep.state():  # else it was not up yet, on a machine with much else to do
        assert "stopped early (on request, SIGUSR1)" in job.log, str(job)
    finished = sweep.finished() if sweep.store.exists() else {}
    again = desk.submit("one_node.sbatch", sweep.file, options=("--ntasks=3",), hold=False)
    again.completed()
    sweep.assert_whole(undisturbed, finished)


def test_a_job_that_hits_its_time_limit_loses_nothing(desk, slow_jobs, undisturbed):
    sweep, job = slow_jobs["hung"]
    shown = wait_for(lambda: (shown := job.show())["JobState"] not in GOING and shown, lambda: str(job))
    assert shown["JobState"] == "TIMEOUT", str(job)
    wait_for(lambda: not job.processes(), lambda: str(job))
    assert not list((desk.folder / "tmp").glob(f"cmsweep-{job.name}")) and not Path(f"/dev/shm/cmsweep-{job.name}").exists()
    finished = sweep.finished()
    again = desk.submit("one_node.sbatch", sweep.file, options=("--ntasks=3",), hold=False)
    again.completed()
    # Slurm's TERM reaches the ranks, which commit if they are quick enough; else the next start finds the journals.
    assert any(finished.values()) or re.search(r"recovered \d+ results of an interrupted run from its journals", again.log), str(again)
    sweep.assert_whole(undisturbed, finished)
