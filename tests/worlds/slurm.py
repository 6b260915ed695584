"""A real Slurm of one node on this machine: Debian's daemons, on loopback, with all their files in one folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from infra.servers.process import free_port
from tests.paths import ROOT
from tests.worlds.waiting import until

NEEDED: Final = ("munged", "slurmctld", "slurmd", "sbatch")
"""Of Debian's packages slurm-wlm and munge."""
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"})
NOTICE_S: Final = 120
"""Between the first word of a preemption and the end of the job's processes."""

CONFIGURATION: Final = """
ClusterName=soul
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node NodeHostname=localhost NodeAddr=127.0.0.1 Port={node_port} CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes=node Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime={notice_s} State=UP
PartitionName=high Nodes=node MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
"""
"""A requeued job may start again when its old credentials have expired, which takes two minutes by default."""


class Slurm:
    """A cluster that runs."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, dict(environment)

    def call(self, *words: str) -> str:
        """What one of Slurm's programs prints; CalledProcessError if it fails."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def submit(self, script: Path, *words: str, options: Sequence[str] = ()) -> str:
        """A job's number; its output lies in `folder`."""
        return self.call("sbatch", "--parsable", *options, str(script), *words).strip()

    def preempt(self) -> str:
        """Have a short job of the partition `high` take the node from those of `low`; returns its number."""
        return self.call("sbatch", "--parsable", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=true")

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job, by its names of the fields."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.call("scontrol", "show", "job", number)))

    def restarts(self, number: str) -> int:
        """How often a job has been requeued."""
        return int(self.job(number)["Restarts"])

    def output(self, number: str) -> str:
        """What a job has printed, all of its starts together."""
        return "".join(path.read_text() for path in self.folder.glob(f"slurm-*-{number}.log"))

    def processes(self, number: str) -> list[psutil.Process]:
        """The processes of a job's tasks and of its batch script, Slurm's own not among them."""
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error):
                if each.environ().get("SLURM_JOB_ID") == number and each.name() != "slurmstepd":
                    found.append(each)
        return found

    def until(self, number: str, what: Callable[[], Any], *, patience_s: float = 240.0) -> Any:
        """What it returns once that is true, while the job has not ended; an OSError means that it is not there yet."""

        def seen() -> Any:
            found = None
            with suppress(OSError):
                found = what()
            assert found or self.job(number)["JobState"] not in ENDED, self.output(number)
            return found

        return until(seen, patience_s=patience_s)

    def ended(self, number: str, *, patience_s: float = 300.0) -> dict[str, str]:
        """The job once it has ended for good."""
        try:
            until(lambda: self.job(number)["JobState"] in ENDED, patience_s=patience_s)
        except pytest.fail.Exception:
            pytest.fail(self.output(number))
        return self.job(number)


@contextmanager
def slurm(folder: Path, *, cpus: int = 2) -> Iterator[Slurm]:
    """A cluster of one node; skips where Slurm is not installed, and without the rights of root, which slurmd wants.

    Args:
        folder: of all its files.
        cpus: of the node, whatever the machine has.
    """
    if missing := [name for name in NEEDED if shutil.which(name, path=_path()) is None]:
        pytest.skip(f"no Slurm: {', '.join(missing)} (Debian's packages slurm-wlm and munge)")
    if os.geteuid() != 0:
        pytest.skip("slurmd wants the rights of root")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM", "RAY_", "SBATCH", "SRUN")) and name not in {"RUN", "INPUT", "STAGE", "PROFILE"}
    }
    environment |= {
        "PATH": _path(),
        "SLURM_CONF": str(folder / "slurm.conf"),
        "SOUL_ROOT": str(ROOT),
        "VENV": str(Path(sys.executable).parent.parent),
    }
    cluster = Slurm(folder, environment)
    with _daemons(folder, environment, cpus):
        until(lambda: "idle" in cluster.call("sinfo", "--noheader", "--format=%t"))
        try:
            yield cluster
        finally:
            subprocess.run(["scancel", "--user=root"], env=environment, check=False, timeout=60)
            until(lambda: not cluster.call("squeue", "--noheader"))


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@contextmanager
def _daemons(folder: Path, environment: Mapping[str, str], cpus: int) -> Iterator[None]:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    munge = folder / "munge"
    # Only munged's own user may write to the folder of its socket.
    munge.chmod(0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            folder=folder, controller_port=free_port(), node_port=free_port(), cpus=cpus, notice_s=NOTICE_S
        )
    )
    commands = (
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket"]
        + [f"--{name}-file={munge}/{name}" for name in ("log", "pid", "seed")],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D", "-N", "node"],
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            log = (folder / f"{command[0]}.out").open("wb")
            with log:
                started.append(subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log))
            if command[0] == "munged":
                until((munge / "socket").exists)
        yield
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
