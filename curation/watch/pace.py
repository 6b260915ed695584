"""How fast a run goes, now and over its time, out of the totals that it had at moments of its history.

Units are committed in groups, so totals grow in steps. A rate is taken from step to step: between two looks at a moment
just before and just after a commit, it would be anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from curation.watch.document import Status

MIN_STEPS: Final = 3
"""Steps that must be known before a rate is told: two stretches of time that can be seen to be alike."""
RECENT: Final = 1 / 3
"""Part of a run's time that counts as recent."""
NUM_SPOTS: Final = 60
"""Points of a curve at most."""
WINDOW: Final = 1 / 10
"""Part of a run's time over which a point of a curve is a mean."""
HOUR_S: Final = 3600.0
Moments = Sequence[tuple[float, float]]
"""Times, in order, each with the total that was reached then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """The recent speed of something."""

    per_s: float
    last_s: float
    """When it last grew."""
    step_s: float
    """Mean time from one step to the next."""


def steps_of(moments: Moments) -> list[tuple[float, float]]:
    """The moments at which the total was seen to have grown."""
    return [after for before, after in pairwise(moments) if after[1] > before[1]]


def recent_pace(moments: Moments) -> Pace | None:
    """The speed over the recent part of a run, which ends with the last moment; None while too little is known."""
    steps = steps_of(moments)
    if len(steps) < MIN_STEPS:
        return None
    now_s = moments[-1][0]
    recent_s = now_s - RECENT * (now_s - moments[0][0])
    first = min(bisect_right([at for at, _ in steps], recent_s), len(steps) - MIN_STEPS)
    (begin_s, begin), (last_s, last) = steps[first], steps[-1]
    step_s = (last_s - begin_s) / (len(steps) - 1 - first)
    if step_s <= 0:
        return None
    # A step that is overdue has made the run slower; one that is not yet due has not.
    return Pace(per_s=(last - begin) / (max(last_s, now_s - step_s) - begin_s), last_s=last_s, step_s=step_s)


def left_s(status: Status) -> float | None:
    """Seconds until all is done at the recent pace; None where nothing more is begun, or too little is known."""
    units = status.units
    remaining = units.waiting + units.in_work + units.finished
    pace = recent_pace(moments_of(status, "units"))
    if status.ending is not None or status.ended is not None or not remaining or pace is None:
        return None
    begun_s = min(max(0.0, status.now - pace.last_s), pace.step_s)
    return max(1.0, remaining / pace.per_s - begun_s)


def moments_of(status: Status, name: str) -> Moments:
    """The totals of a field of `Point` from the beginning of a run until now."""
    known = [(point.at, float(getattr(point, name))) for point in status.history if point.at > status.began]
    moments = [(status.began, 0.0), *sorted(known)]
    if status.now > moments[-1][0]:
        moments.append((status.now, max(moments[-1][1], float(getattr(status.progress, name)))))
    return moments


def mean_per_hour(moments: Moments) -> float | None:
    """The mean over the whole time; None for a run that has just begun."""
    took_s = moments[-1][0] - moments[0][0]
    return moments[-1][1] / took_s * HOUR_S if took_s > 0 and moments[-1][1] else None


def curve(moments: Moments, *, is_over: bool) -> list[tuple[float, float]]:
    """Speed over time: seconds since the beginning and what was done an hour, each a mean over a part of the time.

    Args:
        moments: of the run.
        is_over: whether nothing more will come: then the time after the last step counts.
    """
    steps = steps_of(moments)
    if len(steps) < MIN_STEPS:
        return []
    begin_s, now_s = moments[0][0], moments[-1][0]
    step_s = (steps[-1][0] - begin_s) / len(steps)
    # Until the next step is overdue, the time since the last one says nothing.
    end_s = now_s if is_over or now_s - steps[-1][0] > 2 * step_s else steps[-1][0]
    ramp = [(begin_s, moments[0][1]), *steps]
    if end_s > ramp[-1][0]:
        ramp.append((end_s, ramp[-1][1]))
    window_s = max(WINDOW * (end_s - begin_s), step_s)
    spots = [begin_s + (end_s - begin_s) * number / NUM_SPOTS for number in range(1, NUM_SPOTS + 1)]
    found = []
    for at_s in spots:
        from_s = max(begin_s, at_s - window_s)
        per_s = (_total_at(ramp, at_s) - _total_at(ramp, from_s)) / (at_s - from_s)
        found.append((at_s - begin_s, per_s * HOUR_S))
    return found


def _total_at(ramp: Moments, at_s: float) -> float:
    """What was reached at a time, if it grew evenly from one step to the next."""
    after = bisect_right(ramp, at_s, key=lambda moment: moment[0])
    if after >= len(ramp):
        return ramp[-1][1]
    (before_s, before), (after_s, total) = ramp[after - 1], ramp[after]
    return before + (total - before) * (at_s - before_s) / (after_s - before_s)
