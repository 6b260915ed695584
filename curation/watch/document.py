"""The status of a run as its file holds it; see `infra.jobs.status`. What another version wrote there is refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.jobs.job import About
from infra.jobs.status import Point, PoolStatus


class Part(BaseModel):
    """Fields that are not known are left out, those that are missing have their values of the beginning."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Counted(Part):
    """A count of `infra.jobs.tally`."""

    name: str
    labels: tuple[str, ...] = ()
    value: float


class Progress(Part):
    """Totals; see `infra.jobs.progress.Progress`."""

    units: int = 0
    failed: int = 0
    clips: int = 0
    kept: int = 0
    crops: int = 0
    rejected: dict[str, int] = {}
    video_s: float = 0.0
    kept_video_s: float = 0.0
    num_bytes: int = 0
    commits: int = 0
    failures: dict[str, str] = {}
    in_work: int = 0
    waiting: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    counts: tuple[Counted, ...] = ()


class Units(Part):
    """How many units are in each state; together they are all that were planned."""

    waiting: int = 0
    in_work: int = 0
    finished: int = 0
    done: int = 0
    failed: int = 0
    left: int = 0


class Status(Part):
    """See `infra.jobs.status.RunStatus`."""

    job: str
    about: About = About()
    planned: int
    began: float
    now: float
    progress: Progress
    units: Units
    pools: tuple[PoolStatus, ...] = ()
    nodes: int = 1
    attempts: int = 0
    lost: dict[str, int] = {}
    idle_s: float = 0.0
    oldest: str | None = None
    oldest_s: float = 0.0
    unit_timeout_s: float | None = None
    ending: str | None = None
    ended: str | None = None
    history: tuple[Point, ...] = ()


def status_of(document: Any) -> Status:
    """The status in a file.

    Raises:
        ValueError: it is none, or none of this version; the message is one line.
    """
    try:
        return Status.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{place}: {first['msg']}") from None
