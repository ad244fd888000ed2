"""The Slurm scripts, run by bash with stand-ins for Slurm's commands."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["one_node.sbatch", "many_nodes.sbatch"]

# srun and mpirun run the program once and pass USR1 on, as the real ones do; every call is noted.
LAUNCHER = r"""#!/bin/bash
echo "$(basename "$0") $* OMP=$OMP_NUM_THREADS BLAS=$OPENBLAS_NUM_THREADS tmp=$OMPI_MCA_orte_tmpdir_base shm=$OMPI_MCA_btl_vader_backing_directory" >>"$CALLS"
if [ "$1" = --mpi=list ]; then echo "$PMI"; exit 0; fi
while [ $# -gt 0 ] && [ "${1:0:1}" = - ]; do
    case $1 in -n|--map-by|--bind-to) shift;; esac
    shift
done
"$@" &
child=$!
trap 'echo "launcher got USR1" >>"$CALLS"; kill -USR1 $child' USR1
trap 'echo "launcher got TERM" >>"$CALLS"; kill -TERM $child; exit 143' TERM
wait $child; status=$?
while kill -0 $child 2>/dev/null; do wait $child; status=$?; done
exit $status
"""
# Stands for the sweep: ends at once with $CODE, or stops with 75 when it is told to.
PROGRAM = r"""#!/bin/bash
trap 'echo "program got USR1" >>"$CALLS"; exit 75' USR1
echo "program started $*" >>"$CALLS"
[ -z "$LONG" ] || for i in $(seq 200); do sleep 0.05; done
exit "${CODE:-0}"
"""


@pytest.fixture
def slurm(tmp_path):
    """A folder of submission and an environment as Slurm gives it to a batch script."""
    programs = {"srun": LAUNCHER, "mpirun": LAUNCHER, "scontrol": '#!/bin/bash\necho "scontrol $*" >>"$CALLS"\n', "cmsweep": PROGRAM}
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


def run(script, environment, *arguments):
    done = subprocess.run(["bash", ROOT / "jobs" / script, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, Path(environment["CALLS"]).read_text(), done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_slurm_is_told_to_warn_the_script_alone_in_time(script):
    text = (ROOT / "jobs" / script).read_text()
    assert "#SBATCH --signal=B:USR1@120" in text and "#SBATCH --requeue" in text


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("code", [0, 1, 2, 3, 127])
def test_exit_codes_are_passed_on_and_nothing_is_queued_again(slurm, script, code):
    status, calls, _ = run(script, {**slurm, "CODE": str(code)}, "mine.toml")
    assert status == code
    assert "scontrol" not in calls
    assert "srun --mpi=pmix --cpu-bind=cores" in calls and "program started mine.toml" in calls
    assert "OMP=2 BLAS=2" in calls


@pytest.mark.parametrize("pmi, launcher, expected", [("none pmi2", "srun", "mpirun"), ("pmix", "mpirun", "mpirun"), ("pmix", "srun", "srun")])
def test_mpirun_starts_the_ranks_where_slurm_cannot(slurm, pmi, launcher, expected):
    _, calls, _ = run("many_nodes.sbatch", {**slurm, "PMI": pmi, "LAUNCHER": launcher}, "mine.toml")
    started = [line for line in calls.splitlines() if "cmsweep mine.toml" in line]
    assert len(started) == 1 and started[0].startswith(expected)
    if expected == "mpirun":
        assert "-n 8 --map-by slot:PE=2 --bind-to core" in started[0]


def test_leftovers_of_open_mpi_go_to_folders_of_the_job_and_are_removed(slurm):
    _, calls, _ = run("many_nodes.sbatch", slurm, "mine.toml")
    lines = calls.splitlines()
    folder, shared = f"{slurm['TMPDIR']}/cmsweep-4711", "/dev/shm/cmsweep-4711"
    assert f"mkdir -p {folder} {shared}" in lines[0] and "--ntasks=2 --ntasks-per-node=1" in lines[0]
    assert f"rm -rf {folder} {shared}" in lines[-1]
    assert any("cmsweep mine.toml" in line and f"tmp={folder} shm={shared}" in line for line in lines)
    assert not Path(folder).exists() and not Path(shared).exists()


def test_75_queues_the_job_again_until_the_limit(slurm):
    environment = {**slurm, "CODE": "75", "MAX_REQUEUES": "2"}
    for count in (1, 2):
        status, calls, said = run("one_node.sbatch", environment, "mine.toml")
        assert status == 75 and calls.count("scontrol requeue 4711") == count
        assert f"{count} of at most 2" in said
    status, calls, said = run("one_node.sbatch", environment, "mine.toml")
    assert status == 75 and calls.count("scontrol requeue") == 2 and "not again" in said
    assert not (Path(slurm["SLURM_SUBMIT_DIR"]) / ".cmsweep-requeues-4711").exists()


def test_usr1_reaches_the_program_and_term_is_never_sent(slurm):
    job = subprocess.Popen(["bash", ROOT / "jobs" / "one_node.sbatch", "mine.toml"], env={**slurm, "LONG": "yes"}, stdout=subprocess.DEVNULL)
    calls = Path(slurm["CALLS"])
    deadline = time.monotonic() + 30
    while "program started" not in calls.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=30) == 75
    text = calls.read_text()
    assert "launcher got USR1" in text and "program got USR1" in text and "TERM" not in text
    assert "scontrol requeue 4711" in text


def test_what_is_missing_is_said(slurm):
    status, _, said = run("one_node.sbatch", {**slurm, "CMSWEEP": "/nowhere/cmsweep"}, "mine.toml")
    assert status == 2 and "/nowhere/cmsweep: no such program" in said
    status, _, said = run("one_node.sbatch", slurm)
    assert status != 0 and "usage" in said
