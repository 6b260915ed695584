"""What the page shows of a job, made out of its status."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final

from curation.report.funnel import CLIPS_BEGIN_AT, CROPS_BEGIN_AT
from curation.report.page import words
from curation.report.summary import percent
from curation.watch.document import Progress, Status
from curation.watch.pace import HOUR_S, curve, left_s, mean_per_hour, moments_of, recent_pace
from curation.watch.statuses import Watched
from infra.jobs.status import PoolStatus
from infra.storage.files import is_local, join

SILENT_LOCAL_S: Final = 30.0
SILENT_STORE_S: Final = 120.0
"""Without a sign of life for so long, a driver is taken for dead: it writes every 2 seconds, to a store every 20."""
COMMIT_POOL: Final = "commit"
RATES: Final = {"units": ("units", 1.0), "clips": ("clips", 1.0), "video_s": ("hours of video", HOUR_S)}
"""Field of the history → what is counted, and how many of the field make one."""


class State(StrEnum):
    """What a job does."""

    STARTING = "starting"
    """Its workers load what they need: no unit has been begun."""
    RUNNING = "running"
    ENDING = "ending"
    """It begins no further unit, and has not ended."""
    SILENT = "silent"
    """It has not ended, and gives no sign of life."""
    DONE = "done"
    BROKEN_OFF = "broken off"
    UNREADABLE = "unreadable"
    """Its status was written by something else."""


ALIVE: Final = frozenset({State.STARTING, State.RUNNING, State.ENDING})
"""States in which more is to come."""


def state_of(job: Watched, run: str) -> State:
    """What a job does, as far as its status tells."""
    status = job.status
    if status is None:
        return State.UNREADABLE
    if status.ended is not None:
        return State.BROKEN_OFF if status.ended else State.DONE
    if job.silent_s > (SILENT_LOCAL_S if is_local(run) else SILENT_STORE_S):
        return State.SILENT
    if status.ending is not None:
        return State.ENDING
    units = status.units
    has_begun = units.in_work or units.finished or units.done or units.failed or units.left
    return State.RUNNING if has_begun or not status.planned else State.STARTING


def listed(job: Watched, run: str) -> dict[str, Any]:
    """A job as the list of jobs shows it."""
    status, state = job.status, state_of(job, run)
    share = None if status is None or not status.planned else _done(status) / status.planned
    return {"id": job.id, "state": state, "share": share}


def view(job: Watched, run: str) -> dict[str, Any]:
    """Everything that the page shows of a job."""
    status, state = job.status, state_of(job, run)
    shown: dict[str, Any] = {"id": job.id, "version": job.version, "state": state, "hints": hints(job, run)}
    if status is None:
        return shown | {"problem": job.problem}
    progress, units = status.progress, status.units
    until = status.now + job.silent_s if state in ALIVE else status.now
    is_working = state in {State.RUNNING, State.ENDING}
    has_ended_one = units.done + units.failed + units.left + units.finished > 0
    return shown | {
        "settings": status.about.settings,
        "silent_s": job.silent_s,
        "written": status.now,
        "began": status.began,
        "elapsed_s": max(0.0, until - status.began),
        "left_s": left_s(status) if state is State.RUNNING else None,
        "ending": status.ending,
        "reason": status.ended,
        "planned": status.planned,
        "done": _done(status),
        "earlier": status.about.num_done,
        "units": units.model_dump(),
        "clips": progress.clips,
        "clips_in_work": progress.in_work,
        "kept": progress.kept,
        "video_s": progress.video_s,
        "kept_video_s": progress.kept_video_s,
        "num_bytes": progress.num_bytes,
        "commits": progress.commits,
        "rates": rates(status, is_over=state not in ALIVE),
        "funnel": funnel(status),
        "stages": stage_costs(status),
        "pools": [asdict(pool) for pool in status.pools],
        "bottleneck": bottleneck(status) if state is State.RUNNING else "",
        "failures": list(progress.failures.items())[::-1],
        "waiting": _most_first(progress.waiting),
        "lost": _most_first(status.lost),
        "faults": _most_first({labels[0]: int(value) for labels, value in _counted(progress, "machine_faults", 1)}),
        "notes": list(progress.notes),
        "servers": servers(progress),
        "models": models(progress),
        "nodes": status.nodes,
        "attempts": status.attempts,
        "oldest": status.oldest if is_working else None,
        "oldest_s": status.oldest_s + job.silent_s,
        "idle_s": status.idle_s + job.silent_s if is_working and has_ended_one else None,
        "unit_timeout_s": status.unit_timeout_s,
    }


def rates(status: Status, *, is_over: bool) -> list[dict[str, Any]]:
    """How fast it goes, now and over its time, by what is counted; what there is none of is left out."""
    found = []
    for field, (name, one) in RATES.items():
        moments = [(at, total / one) for at, total in moments_of(status, field)]
        mean = mean_per_hour(moments)
        if mean is None:
            continue
        pace = None if is_over else recent_pace(moments)
        now = None if pace is None else pace.per_s * HOUR_S
        points = [list(point) for point in curve(moments, is_over=is_over)]
        found.append({"name": name, "now": now, "mean": mean, "points": points})
    return found


def stage_order(status: Status) -> list[str]:
    """The stages in the order of the pipeline: what pools do not name but is timed, such as probing, comes first."""
    timed = [labels[0] for labels, _ in _counted(status.progress, "stage_seconds", 1)]
    pooled = [stage for pool in status.pools for stage in pool.stages]
    return list(dict.fromkeys([*(stage for stage in timed if stage not in pooled), *pooled]))


def funnel(status: Status) -> dict[str, Any]:
    """What the stages took out: whole units before there are clips, then clips, in the order of the stages.

    Crops are added at the stage that makes them. A unit that a later stage takes out whole counts among the clips, as
    the totals do not tell them apart.
    """
    progress, order = status.progress, stage_order(status)
    early = order[: order.index(CLIPS_BEGIN_AT)] if CLIPS_BEGIN_AT in order else []
    rules: dict[str, list[tuple[str, int]]] = {}
    for reason, number in _most_first(progress.rejected):
        stage, _, rule = reason.partition("/")
        rules.setdefault(stage, []).append((words(rule or stage), number))
    crops = progress.crops if CROPS_BEGIN_AT in order else 0
    if crops:
        rules.setdefault(CROPS_BEGIN_AT, [])
    known = [stage for stage in order if stage in rules]
    stages = [*known, *(stage for stage in rules if stage not in known)]
    of_units = _losses([stage for stage in stages if stage in early], rules, progress.units, {})
    late = [stage for stage in stages if stage not in early]
    num_late = sum(number for stage in late for _, number in rules[stage])
    num_all = progress.kept + num_late
    of_clips = _losses(late, rules, num_all - crops, {CROPS_BEGIN_AT: crops})
    num_whole = max(0, num_late - max(0, progress.clips - progress.kept))
    return {
        "units": {"count": progress.units, "steps": of_units} if of_units else None,
        "clips": {
            "count": num_all - crops, "all": num_all, "steps": of_clips, "kept": progress.kept, "whole": num_whole,
        },
    }  # fmt: skip


def stage_costs(status: Status) -> list[dict[str, Any]]:
    """Wall seconds of the workers by stage, in the order of the pipeline, and each stage's share."""
    seconds = {labels[0]: value for labels, value in _counted(status.progress, "stage_seconds", 1)}
    total = sum(seconds.values())
    return [
        {"stage": stage, "seconds": seconds[stage], "share": seconds[stage] / total}
        for stage in stage_order(status)
        if seconds.get(stage, 0.0) > 0
    ]


def bottleneck(status: Status) -> str:
    """Which pool holds the others up, in a sentence; empty where none does, or it is not known.

    Units wait in front of the pool that is too slow, up to a bound; then the pools before it have to wait, too. So it
    is the last one with as many units before it as it has places.
    """
    for pool in reversed(status.pools):
        is_first = pool is status.pools[0]
        queue = 1 if is_first else pool.places
        if pool.waiting < queue:
            continue
        if not pool.ready:
            return f"The pool {pool.name} has {pool.waiting:,} units waiting and no actor that is ready."
        if pool.in_hand < pool.ready:
            continue
        return _holding_up(status, pool, is_first=is_first)
    return ""


def _holding_up(status: Status, pool: PoolStatus, *, is_first: bool) -> str:
    costs = [cost for cost in stage_costs(status) if cost["stage"] in pool.stages]
    mostly = ""
    if len(costs) > 1:
        dearest = max(costs, key=lambda cost: cost["seconds"])
        share = percent(dearest["share"], 1.0)
        mostly = f" Of its stages, {dearest['stage']} takes the most: {share} of the time of all stages."
    if len([other for other in status.pools if other.name != COMMIT_POOL]) == 1 and pool.name != COMMIT_POOL:
        return f"All {pool.ready:,} actors are busy.{mostly}"
    if is_first:
        return f"The first pool, {pool.name}, is the slowest: those behind it wait for its units.{mostly}"
    return (
        f"The pool {pool.name} is the slowest: {pool.waiting:,} wait for it, and hold up the pools before it.{mostly}"
    )


def servers(progress: Progress) -> list[dict[str, Any]]:
    """Servers of models: how many requests ended how, and how long one took."""
    outcomes: dict[str, dict[str, int]] = {}
    for (server, outcome), value in _counted(progress, "served_requests", 2):
        outcomes.setdefault(server, {})[outcome] = int(value)
    seconds = {server: value for (server,), value in _counted(progress, "served_seconds", 1)}
    return [
        {
            "server": server,
            "requests": sum(ended.values()),
            "outcomes": _most_first(ended),
            "seconds_each": seconds[server] / sum(ended.values())
            if server in seconds and any(ended.values())
            else None,
        }
        for server, ended in sorted(outcomes.items())
    ]


def models(progress: Progress) -> list[dict[str, Any]]:
    """Tokens that models read and wrote."""
    tokens: dict[str, dict[str, float]] = {}
    for (model, kind), value in _counted(progress, "served_tokens", 2):
        tokens.setdefault(model, {})[kind] = value
    return [
        {"model": model, "read": of.get("prompt", 0.0), "written": of.get("completion", 0.0)}
        for model, of in sorted(tokens.items())
    ]


def hints(job: Watched, run: str) -> dict[str, str]:
    """Where more is to be seen: the path of the report, and commands to type."""
    at = ["--run", run, *(["--decisions", job.version] if job.version else [])]
    folder = join(run, "decisions", job.version) if job.version else run
    return {
        "report": join(folder, "report.html"),
        "browse": shlex.join(["python", "-m", "curation", "browse", *at]),
        # KEY is left for a person to fill in; the log of a version lies in its own folder.
        "logs": f"python -m curation logs KEY {shlex.join(['--run', folder])}",
    }


def _done(status: Status) -> int:
    """Units that nothing is left to be done for but their commit."""
    return status.units.done + status.units.failed + status.units.finished


def _losses(
    stages: Sequence[str], rules: Mapping[str, Sequence[tuple[str, int]]], count: int, new: Mapping[str, int]
) -> list[dict[str, Any]]:
    """What each stage took out, by rule, of those that entered it and those that it made."""
    found = []
    for stage in stages:
        made, lost = new.get(stage, 0), sum(number for _, number in rules[stage])
        count += made
        of_stage = [list(rule) for rule in rules[stage]]
        found.append({"stage": stage, "rules": of_stage, "new": made, "in": count, "lost": lost})
        count -= lost
    return found


def _counted(progress: Progress, name: str, num_labels: int) -> list[tuple[tuple[str, ...], float]]:
    """The counts of a name, with their labels, in the order in which they were first counted."""
    return [
        (each.labels, each.value) for each in progress.counts if each.name == name and len(each.labels) == num_labels
    ]


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What there is any of."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1])
