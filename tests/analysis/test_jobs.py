"""The Slurm scripts with stand-ins for Slurm's commands, for what the real one of tests/slurm cannot show: a Slurm without PMIx, and
signals that come at moments which nobody can hit."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# srun and mpirun run the program once; every call is noted. The command that $WAIT names has to wait for the file $CALLS.go. Both
# end by USR1, as the real ones do while they start the ranks.
LAUNCHER = r"""#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
if [ "$1" = --mpi=list ]; then echo "$PMI"; yes "and more than a pipe holds" | head -c 300000; exit; fi
while [ $# -gt 0 ] && [ "${1:0:1}" = - ]; do
    case $1 in -n|--map-by|--bind-to) shift;; esac
    shift
done
if [ "$WAIT" = "$1" ]; then for i in $(seq 2000); do [ -e "$CALLS.go" ] && break; sleep 0.05; done; fi
exec "$@"
"""
PROGRAM = r"""#!/bin/bash
echo "program started $*" >>"$CALLS"
for i in $(seq ${LONG:-0}); do sleep 0.05; done
"""
SCONTROL = r"""#!/bin/bash
echo "scontrol $*" >>"$CALLS"
[ -z "${REFUSE:-}" ] || { echo "$REFUSE" >&2; exit 1; }
"""


@pytest.fixture
def slurm(tmp_path):
    """A folder of submission and an environment as Slurm gives it to a batch script."""
    programs = {"srun": LAUNCHER, "mpirun": LAUNCHER, "scontrol": SCONTROL, "cmsweep": PROGRAM}
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    (tmp_path / "calls").touch()
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "PMI": "MPI plugin types are...\npmix_v4",
            "CMSWEEP": str(tmp_path / "bin" / "cmsweep"), "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "8",
            "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_NUM_NODES": "2", "TMPDIR": str(tmp_path / "tmp")}


def wait_until(job, condition):
    end = time.monotonic() + 60
    while not condition():
        assert job.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("pmi, launcher, expected", [("none pmi2", "srun", "mpirun"), ("pmix", "mpirun", "mpirun"), ("pmix", "srun", "srun")])
def test_mpirun_starts_the_ranks_where_slurm_cannot(slurm, pmi, launcher, expected):
    subprocess.run(["bash", ROOT / "jobs" / "many_nodes.sbatch", "mine.toml"], env={**slurm, "PMI": pmi, "LAUNCHER": launcher}, check=True, timeout=60)
    started = [line for line in Path(slurm["CALLS"]).read_text().splitlines() if "cmsweep mine.toml" in line]
    assert len(started) == 1
    assert started[0].startswith({"mpirun": "mpirun -n 8 --map-by slot:PE=2 --bind-to core:overload-allowed ",
                                  "srun": "srun --mpi=pmix --cpus-per-task=2 --cpu-bind=cores "}[expected])


def test_a_signal_before_the_ranks_are_started_queues_the_job_again_at_once(slurm):
    calls = Path(slurm["CALLS"])
    job = subprocess.Popen(["bash", ROOT / "jobs" / "one_node.sbatch", "mine.toml"], env={**slurm, "WAIT": "mkdir"})
    wait_until(job, lambda: "mkdir" in calls.read_text())
    job.send_signal(signal.SIGUSR1)
    Path(str(calls) + ".go").touch()
    assert job.wait(timeout=60) == 75
    assert "program started" not in calls.read_text() and "scontrol requeue 4711" in calls.read_text()


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_a_launcher_that_ends_by_the_signal_has_stopped_the_sweep_too(slurm, launcher):
    calls = Path(slurm["CALLS"])
    job = subprocess.Popen(["bash", ROOT / "jobs" / "one_node.sbatch", "mine.toml"], env={**slurm, "LAUNCHER": launcher, "LONG": "1200"})
    wait_until(job, lambda: "program started" in calls.read_text())
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=60) == 75
    assert "scontrol requeue 4711" in calls.read_text()


def test_a_job_that_cannot_be_queued_again_says_so_and_has_not_failed(slurm):
    (Path(slurm["SLURM_SUBMIT_DIR"]) / "bin" / "cmsweep").write_text("#!/bin/bash\nexit 75\n")
    job = subprocess.run(["bash", ROOT / "jobs" / "one_node.sbatch", "mine.toml"], env={**slurm, "REFUSE": "Requested operation is presently disabled"},
                         capture_output=True, text=True, timeout=60)
    assert job.returncode == 75, job.stderr
    assert "Requested operation is presently disabled" in job.stderr
    assert "could not be queued again (scontrol requeue 4711: exit 1); submit the same job to continue" in job.stderr
    assert not list(Path(slurm["SLURM_SUBMIT_DIR"]).glob(".cmsweep-requeues-*"))
