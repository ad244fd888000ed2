"""Slurm on this machine, for tests: one controller and a few virtual nodes under a folder of their own, without systemd.

Every daemon is a child of this process, in the foreground, so that it is known by its id and ends with it.
"""
from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue", "sinfo")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # daemons are not on everybody's path
USER = pwd.getpwuid(os.getuid()).pw_name  # not LOGNAME or USER, which may name somebody else after su or sudo

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
TmpFS={folder}/%n/tmp
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=2,sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=3600
MessageTimeout=60
KillWait={kill_wait}
MinJobAge=3600
MailProg=/bin/true
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE
PartitionName=patient Nodes=ALL MaxTime=INFINITE OverTimeLimit=5
"""


def missing() -> list[str]:
    """Programs of Slurm and MUNGE that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def _end_with_parent():
    """In a child before exec: it gets TERM when this process ends, however that comes."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in sockets]


def wait_for(condition, what: str, timeout: float = 300, alive=lambda: None):
    """Until the condition gives something true, which is returned. The timeout is no measure, only an end to waiting."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        alive()
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.05)


class Cluster:
    """`with Cluster(nodes=2) as slurm:` gives a running Slurm; leaving ends its jobs and daemons, whatever happened."""

    def __init__(self, nodes: int, cpus: int, kill_wait: int = 5):
        self.nodes, self.cpus, self.kill_wait = nodes, cpus, kill_wait

    def __enter__(self):
        for attempt in range(3):
            self.daemons = {}
            self.folder = Path(tempfile.mkdtemp(prefix="cmsweep-slurm-"))
            self.folder.chmod(0o711)  # munged wants everybody to reach its socket
            self.environment = {**{name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN", "SQUEUE"))},
                                "PATH": PATH, "SLURM_CONF": str(self.folder / "slurm.conf")}
            try:
                self._start()
                return self
            except BaseException as error:
                taken = "Address already in use" in str(error)  # a port was free a moment ago
                self.__exit__()
                if not taken or attempt == 2:
                    raise

    def __exit__(self, *_):
        try:
            if "slurmctld" in self.daemons:
                self._end_jobs()
        finally:
            for name in reversed(list(self.daemons)):
                self.daemons[name].terminate()
            for process in self.daemons.values():
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_jobs(self):
        for pid in self.processes():
            self._signal(pid, signal.SIGCONT)  # a stopped process does not see TERM
        try:
            self.check_daemons()
            self.try_to("scancel", "--user", USER)
            wait_for(lambda: not self.try_to("squeue", "--noheader"), "jobs to end", timeout=60, alive=self.check_daemons)
        except (TimeoutError, subprocess.TimeoutExpired, RuntimeError):
            pass
        for pid in self.processes():
            self._signal(pid, signal.SIGKILL)

    @staticmethod
    def _signal(pid: int, number: int):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def _daemon(self, name: str, *command: str, **options):
        log = open(self.folder / f"{name}.log", "wb")
        with log:
            self.daemons[name] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  preexec_fn=_end_with_parent, **options)

    def _start(self):
        folder, host, ports = self.folder, socket.gethostname().split(".")[0], _free_ports(1 + self.nodes)
        (folder / "munge").mkdir(mode=0o755)
        (folder / "state").mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        lines = []
        for number in range(1, 1 + self.nodes):
            (folder / f"n{number}" / "tmp").mkdir(mode=0o755, parents=True)  # a node of its own to PMIx, too
            lines.append(f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[number]} CPUs={self.cpus} RealMemory=1000000")
        (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, user=USER, port=ports[0], folder=folder,
                                                                kill_wait=self.kill_wait, nodes="\n".join(lines)))
        munge = folder / "munge"
        # --force: as root it would not like a folder below /tmp.
        self._daemon("munged", "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={munge}/pid",
                     f"--log-file={munge}/log", f"--seed-file={munge}/seed")
        wait_for((munge / "socket").exists, self.logs, alive=self.check_daemons)
        self._daemon("slurmctld", "slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        for number in range(1, 1 + self.nodes):
            self._daemon(f"slurmd-n{number}", "slurmd", "-D", "-N", f"n{number}", "-f", self.environment["SLURM_CONF"])
        wait_for(lambda: len(set(self.try_to("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").split())) == self.nodes, self.logs,
                 timeout=120, alive=self.check_daemons)

    def check_daemons(self):
        for name, process in self.daemons.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]) for path in sorted(self.folder.glob("*.log")))

    # ---- commands

    def run(self, *command, check: bool = True, **options) -> subprocess.CompletedProcess:
        environment = {**self.environment, **options.pop("env", {})}
        done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, timeout=300, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.logs()}")
        return done

    def try_to(self, *command) -> str:
        return self.run(*command, check=False).stdout

    # ---- processes of jobs

    def processes(self, job: str | None = None) -> list[int]:
        """Ids of the processes of a job, or of all jobs of this Slurm: what carries its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in self._own():
                continue
            try:
                words = set((entry / "environ").read_bytes().split(b"\0"))
            except OSError:  # it has just ended, or is somebody else's
                continue
            if f"SLURM_CONF={self.folder}/slurm.conf".encode() not in words:
                continue
            if any(word.startswith(b"SLURM_JOB_ID=") if job is None else word == f"SLURM_JOB_ID={job}".encode() for word in words):
                found.append(int(entry.name))
        return sorted(found)

    def _own(self) -> set[int]:
        return {os.getpid(), *(process.pid for process in self.daemons.values())}
