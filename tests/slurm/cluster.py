"""A real SLURM on one machine: a controller and two virtual nodes, for as long as a test takes.

Needs root, slurmctld, slurmd and munged; no systemd, no cgroups, nothing written outside a
temporary folder. Two clusters do not disturb each other.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import PATIENCE, until

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol", "scancel")
NODES = ("n1", "n2")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
"""States that a job does not leave."""

CONFIG = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,batch_sched_delay=1,bf_interval=5
ReturnToService=2
KillWait=20
MinJobAge=3600
JobRequeue=1
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} {size}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} {size}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
SIZE = "CPUs=64 RealMemory=256000 Gres=gpu:4 State=UNKNOWN"
"""What a virtual node pretends to have, so that the templates for users are accepted."""


class Cluster:
    """Nodes n1 and n2 under one controller; a context manager that leaves no process behind."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.config = self.folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start all daemons and wait until both nodes are idle."""
        try:
            self._write_config()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything."""
        self.stop()

    def submit(self, script: str, name: str, options: Sequence[str] = ()) -> int:
        """Hand in the text of a batch script; the id of the job. Its log is :meth:`output`."""
        path = self.folder / f"{name}.sbatch"
        path.write_text(script)
        log = f"--output={self.folder}/%j.log"
        fixed = ["--parsable", f"--job-name={name}", log, "--open-mode=append"]
        return int(self._call("sbatch", *fixed, *options, str(path)))

    def accepts(self, path: Path) -> str:
        """'' if SLURM would take the batch script ``path``, else what it says against it."""
        run = self._run("sbatch", "--test-only", str(path))
        return run.stderr.strip() if run.returncode else ""

    def state(self, job: int) -> str:
        """Such as PENDING, RUNNING or COMPLETED."""
        return self._field(job, "JobState")

    def restarts(self, job: int) -> int:
        """How often the job was requeued."""
        return int(self._field(job, "Restarts"))

    def output(self, job: int) -> str:
        """What the job has written so far, standard output and error together."""
        path = self.folder / f"{job}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def signal(self, job: int, name: str) -> None:
        """Send a signal, such as SIGUSR1, to all tasks of the job; not to its batch script."""
        self._call("scancel", f"--signal={name.removeprefix('SIG')}", str(job))

    def start_now(self, job: int) -> None:
        """Start a requeued job at once; SLURM holds it for two minutes otherwise."""
        time.sleep(2)  # credentials of the second in which the job ended are revoked
        self._call("scontrol", "update", f"jobid={job}", "starttime=now")

    def cancel(self, job: int) -> None:
        """End the job and wait until its processes are gone."""
        self._call("scancel", str(job))
        self.wait_for(job, ENDED)

    def wait_for(self, job: int, states: Iterable[str]) -> str:
        """Wait until the job is in one of ``states`` and none of its processes is left.

        AssertionError with the end of its log if it takes longer or the job ends otherwise.
        """
        wanted = tuple(states)

        def there() -> bool:
            now = self.state(job)
            assert now in wanted or now not in ENDED, f"the job is {now}, not {wanted}"
            return now in wanted and (now == "RUNNING" or not self._is_completing(job))

        self.wait_until(there, f"job {job} is {' or '.join(wanted)}", job)
        return self.state(job)

    def wait_until(self, condition: Callable[[], object], what: str, job: int) -> None:
        """Wait for ``condition``; AssertionError with the ends of all logs if it fails."""
        try:
            until(condition)
        except (AssertionError, TimeoutError) as error:
            logs = [(self.folder / f"{name}.log").read_text()[-1500:] for name in self._daemons]
            facts = self._call("scontrol", "show", "job", str(job))
            tail = "\n".join([facts, *logs, self.output(job)[-4000:]])
            raise AssertionError(f"{what}: {error}\n{tail}") from error

    def stop(self) -> None:
        """End all jobs and daemons, then whatever a job has left, and remove the folder."""
        if "slurmctld" in self._daemons:
            self._run("scancel", *(f"--nodelist={node}" for node in NODES))
            self._run("scancel", "--state=PENDING")
        for daemon in reversed(self._daemons.values()):
            _end(daemon)
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_config(self) -> None:
        self.folder.chmod(0o755)  # munged wants all to be able to reach its socket
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir()
        ports = dict(zip(("controller", *NODES), free_ports(3), strict=True))
        host = socket.gethostname().split(".")[0]
        self.config.write_text(CONFIG.format(folder=self.folder, host=host, size=SIZE, **ports))
        for i in range(4):
            (self.folder / f"gpu{i}").touch()
        gpus = f"NodeName=n[1-2] Name=gpu File={self.folder}/gpu[0-3]\n"
        (self.folder / "gres.conf").write_text(gpus)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))

    def _start(self) -> None:
        at = self.folder
        files = [f"--{name}-file={at}/munge.{name}" for name in ("key", "pid", "seed")]
        self._daemon("munged", "--foreground", f"--socket={at}/munge.socket", *files)
        self._wait_for_daemons(lambda: (at / "munge.socket").exists())
        self._daemon("slurmctld", "-D", "-c", "-f", str(self.config))
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node, "-f", str(self.config), label=node)
        self._wait_for_daemons(self._are_nodes_idle)

    def _daemon(self, program: str, *options: str, label: str = "") -> None:
        name = label or program
        with (self.folder / f"{name}.log").open("wb") as log:
            # a session of its own: Ctrl-C in the tests' terminal is for the tests
            self._daemons[name] = subprocess.Popen(
                [program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )

    def _wait_for_daemons(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > end:
                logs = [(self.folder / f"{name}.log").read_text() for name in dead or NODES]
                reasons = self._run("sinfo", "--noheader", "--Node", "--format=%N %T %E").stdout
                text = "\n".join([*logs, reasons])[-4000:]
                raise RuntimeError(f"SLURM did not start, ended: {dead}\n{text}")
            time.sleep(0.2)

    def _are_nodes_idle(self) -> bool:
        states = self._run("sinfo", "--noheader", "--Node", "--format=%T").stdout.split()
        return states == ["idle"] * len(NODES)

    def _is_completing(self, job: int) -> bool:
        return "COMPLETING" in self._run("squeue", "--noheader", f"--jobs={job}", "-o%T").stdout

    def _field(self, job: int, name: str) -> str:
        found = re.search(rf"\b{name}=(\S+)", self._call("scontrol", "show", "job", str(job)))
        assert found, f"scontrol show job {job} has no {name}"
        return found[1]

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        return {**inherited, "SLURM_CONF": str(self.config)}

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=PATIENCE
        )

    def _call(self, *command: str) -> str:
        run = self._run(*command)
        assert run.returncode == 0, f"{' '.join(command)}: {run.stderr}"
        return run.stdout.strip()

    def processes(self) -> list[int]:
        """Ids of all that runs here: SLURM_CONF in the environment names this cluster."""
        mark = f"SLURM_CONF={self.config}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # it has just ended
                continue
        return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives to outgoing connections."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
