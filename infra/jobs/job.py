"""What a job and its workers are to the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress

U = TypeVar("U")
Alive = Callable[[], None]
"""Called by a worker now and then while it works on one unit, so that it is not taken for hanging."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What is told of a job wherever it is watched: with its metrics, in the status of its run, and in its log."""

    run: str = ""
    """Path or URI of the directory of what it makes, where its status and its log are kept; empty for neither."""
    settings: str = ""
    """Hash of the settings that decide; empty where there is none."""
    num_done: int = 0
    """Units that earlier runs on the directory have done."""
    scratch: str = ""
    """Folder of a node's disk in which workers keep what they fetch; empty for the system's temporary one."""


class Worker(Protocol[U]):
    """What an actor holds: loaded models, ready for any number of units."""

    def run(self, unit: U, alive: Alive) -> U:
        """The unit after the worker's stages; bad data becomes a record on it.

        It is called from several threads at once where a pool has `units_in_flight` above 1: what belongs to one unit
        then has no place in the worker.

        Raises:
            MachineFaultError: the unit is not to blame and not judged; it is left to the next run.
        """
        ...


class Job(Protocol[U]):
    """A kind of work; it is pickled and sent to where it runs."""

    @property
    def name(self) -> str:
        """The beginning of the names of the cluster's actors, tasks and datasets."""
        ...

    @property
    def about(self) -> About:
        """What is told of it."""
        ...

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, which pools of actors can divide among themselves."""
        ...

    @property
    def units_per_commit(self) -> int:
        """How many finished units are committed together."""
        ...

    def open(self) -> None:
        """Take the output directory over and remove what earlier runs left uncommitted."""

    def key(self, unit: U) -> str:
        """Name of a unit, unique within the run."""
        ...

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> Worker[U]:
        """Load what these stages need.

        Args:
            stages: some of the job's, in order.
            debug: whether unexpected exceptions are raised.
            units_in_flight: how many threads call the worker at once.
        """
        ...

    def give_up(self, unit: U, detail: str) -> U:
        """The unit that no worker survived, with a record of that."""
        ...

    def commit(self, units: Sequence[U]) -> Progress:
        """Publish finished units and count them."""
        ...

    def tidy(self) -> None:
        """Put what is committed in order, such as many small files into few: it is called in a thread of the driver,
        while workers commit, and once when all is committed. It does nothing, soon, where there is nothing to do."""
