"""A job of thousands of units that cost nothing, with real commits.

`OUT/begun` gets a line whenever a worker takes a unit up, so that what was lost can be counted. A unit with a file of
its name in `OUT/held` is in work until that is gone.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.jobs.job import About, Alive
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress
from infra.jobs.unit_log import in_stage
from infra.storage.commits import CommitDirectory

PER_COMMIT = 8
ONE_POOL = (PoolConfig(name="all", actors=2, num_cpus=0.3, units_in_flight=2),)
TWO_POOLS = (
    PoolConfig(name="first", stages=("first",), actors=2, num_cpus=0.2, units_in_flight=2),
    PoolConfig(name="second", stages=("second",), actors=2, num_cpus=0.2),
)
POOLS = {1: ONE_POOL, 2: TWO_POOLS}


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyUnit:
    """A number, and what has been made of it."""

    key: str
    value: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyJob:
    """Hashes the names of units, twice."""

    out: Path
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    execution: ExecutionConfig = ExecutionConfig(pools=TWO_POOLS, writer_cpus=0.1, max_attempts=5)
    units_per_commit: int = PER_COMMIT
    name: str = "tiny"
    stages: tuple[str, ...] = ("first", "second")

    @property
    def about(self) -> About:
        return About(run=str(self.out), settings="tiny")

    @property
    def directory(self) -> CommitDirectory:
        return CommitDirectory(str(self.out / "commits"))

    def open(self) -> None:
        self.directory.open_session(self.session)

    def key(self, unit: TinyUnit) -> str:
        return unit.key

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> TinyWorker:
        return TinyWorker(out=self.out, stages=tuple(stages))

    def give_up(self, unit: TinyUnit, detail: str) -> TinyUnit:
        return replace(unit, value=f"given up: {detail}")

    def commit(self, units: Sequence[TinyUnit]) -> Progress:
        keys = sorted(unit.key for unit in units)
        name = f"tiny-{hashlib.sha256('|'.join(keys).encode()).hexdigest()[:16]}"
        self.directory.commit(name, [{"key": unit.key, "value": unit.value} for unit in units], self.session)
        return Progress(units=len(units), commits=1, num_bytes=8 * len(units))

    def tidy(self) -> None:
        """Nothing."""

    def results(self) -> dict[str, str]:
        """What was made of each unit; each must have been committed once."""
        table = self.directory.index(["key", "value"])
        if not table.num_rows:
            return {}
        found = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        assert len(found) == table.num_rows, "a unit is in two commits"
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyWorker:
    """Adds what its stages make of a unit."""

    out: Path
    stages: tuple[str, ...]

    def run(self, unit: TinyUnit, alive: Alive) -> TinyUnit:
        if "first" in self.stages:
            with (self.out / "begun").open("a") as begun:
                begun.write(f"{unit.key}\n")
        while (self.out / "held" / unit.key).exists():
            alive()
            time.sleep(0.1)
        value = unit.value
        for stage in self.stages:
            with in_stage(stage):
                value = hashed(value or unit.key, stage)
        return replace(unit, value=value)


def hashed(value: str, stage: str) -> str:
    """What a stage makes of a value."""
    return hashlib.sha256(f"{value}|{stage}".encode()).hexdigest()[:8]


def expected(num_units: int) -> dict[str, str]:
    """What an undisturbed run makes."""
    return {f"{n:06d}": hashed(hashed(f"{n:06d}", "first"), "second") for n in range(num_units)}


def num_begun(out: Path) -> int:
    """How often a worker has taken a unit up."""
    return (out / "begun").read_bytes().count(b"\n") if (out / "begun").exists() else 0
