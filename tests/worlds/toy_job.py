"""A job over mere names, whose workers load nothing. It shows what the engine does with units, pools and commits."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import ray

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.job import About, Alive
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress
from infra.storage.line_files import append_lines, read_lines

COMMITS: Final = "commits"
ATTEMPTS: Final = "attempts"
GIVEN_UP: Final = "given up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A name, and the stages that it has been through. Units named `crash` or `hang` do that to their worker, the
    latter only the first time; one named `heavy` kills it when it is passed on, one named `late` when it has just been
    committed. Those whose names begin with `wait` need a server that is away; a store has no time for one named `busy`
    at first, and the scratch disk no space for one named `full`."""

    name: str
    stages: tuple[str, ...] = ()
    problem: str = ""


class HeavyUnit(Unit):
    """The result of a unit that cannot be passed on."""

    def __reduce__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToyJob:
    """Writes a line for each commit, and one for each attempt."""

    out: Path
    execution: ExecutionConfig = ExecutionConfig()
    units_per_commit: int = 2
    starts: bool = True
    """Whether workers ever start."""
    lacks_weights: bool = False
    """Whether workers find out that a person has made a mistake."""
    together: int = 1
    """Units that a worker must have in work at once when it begins: it waits for them."""
    name: str = "toy"
    stages: tuple[str, ...] = ("first", "second")

    @property
    def about(self) -> About:
        return About(run=str(self.out))

    def open(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)

    def key(self, unit: Unit) -> str:
        return unit.name

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> ToyWorker:
        if not self.starts:
            time.sleep(3600)
        if self.lacks_weights:
            raise ConfigError("no weights on this node")
        notes.tell(f"{units_in_flight} at a time")
        return ToyWorker(out=self.out, stages=tuple(stages), meeting=threading.Barrier(self.together, timeout=60.0))

    def give_up(self, unit: Unit, detail: str) -> Unit:
        return replace(unit, problem=f"{GIVEN_UP}: {detail}")

    def commit(self, units: Sequence[Unit]) -> Progress:
        append_lines(self.out / COMMITS, [" ".join(sorted(unit.name for unit in units))])
        append_lines(self.out / "units", [f"{unit.name}: {unit.problem or ' '.join(unit.stages)}" for unit in units])
        if any(unit.name == "late" for unit in units):
            threading.Thread(target=die_when_counted, args=(self.name,)).start()
        kept = sum(not unit.problem for unit in units)
        return Progress(units=len(units), clips=len(units), kept=kept)

    def tidy(self) -> None:
        append_lines(self.out / "tidied", ["."])

    def results(self) -> dict[str, str]:
        """The stages that each unit has been through, or its problem, by name; each must have been committed once."""
        pairs = [line.split(": ", 1) for line in read_lines(self.out / "units")]
        found = dict(pairs)
        assert len(found) == len(pairs), "a unit was committed twice"
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class ToyWorker:
    """Adds its stages to a unit."""

    out: Path
    stages: tuple[str, ...]
    meeting: threading.Barrier

    def run(self, unit: Unit, alive: Alive) -> Unit:
        append_lines(self.out / ATTEMPTS, [unit.name])
        if read_lines(self.out / ATTEMPTS).count(unit.name) == 1:
            self.meeting.wait()
        elif unit.name != "crash":
            time.sleep(0.3)  # so that one that crashes at once hits whoever is in work beside it
        if unit.name == "busy" and read_lines(self.out / ATTEMPTS).count("busy") == 1:
            raise OSError(errno.EBUSY, "please reduce your request rate")
        if unit.name == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "/scratch")
        if unit.name.startswith("wait"):
            raise MachineFaultError("the server is away")
        if unit.name == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if unit.name == "hang" and read_lines(self.out / ATTEMPTS).count("hang") == 1:
            time.sleep(3600)
        alive()
        result = replace(unit, stages=(*unit.stages, *self.stages))
        return HeavyUnit(name=result.name, stages=result.stages) if unit.name == "heavy" else result


def die_when_counted(job: str) -> None:
    """Kill this process as soon as the ledger has the first commit."""
    ledger = ray.get_actor(f"{job}/ledger/0")
    while not ray.get(ledger.snapshot.remote())[0].units:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    """Raise what a worker raises when it alone finds out that a person has asked for something impossible."""
    raise ConfigError("not with this model")
