"""What a run tells while it goes on: attempts and progress in one actor, counters and latencies as Ray metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import ray
from ray.util import metrics

from curation.schema import Source


@dataclass(kw_only=True, slots=True)
class Progress:
    """Totals so far."""

    units: int = 0
    failed: int = 0
    clips: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By `stage/rule`."""
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Count a unit that has passed the last stage."""
        self.units += 1
        self._add_seconds(source.stage_seconds)
        if source.failure is not None:
            self.failed += 1
            self.rejected[f"{source.failure.stage}/{source.failure.rule}"] += 1
        elif source.rejection is not None:
            self.rejected[f"{source.rejection.stage}/{source.rejection.rule}"] += 1
        else:
            self.clips += len(source.clips)
            self.kept += sum(clip.kept for clip in source.clips)
            decisions = [clip.rejection for clip in source.clips if clip.rejection is not None]
            self.rejected.update(f"{decision.stage}/{decision.rule}" for decision in decisions)

    def merge(self, other: Progress) -> None:
        """Add another's totals."""
        self.units += other.units
        self.failed += other.failed
        self.clips += other.clips
        self.kept += other.kept
        self.rejected += other.rejected
        self._add_seconds(other.stage_seconds)

    def _add_seconds(self, seconds: Mapping[str, float]) -> None:
        for stage, value in seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + value


class Ledger:
    """Counts attempts at each unit within this run, and collects progress.

    It lives as long as the driver, so a killed driver does not count against the files it was working on.
    """

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.progress = Progress()

    def begin(self, pool: str, unit: str) -> int:
        """Note that a worker of `pool` takes up `unit`; returns how many attempts that makes."""
        self.attempts[pool, unit] += 1
        return self.attempts[pool, unit]

    def end(self, pool: str, unit: str) -> None:
        """Note that the worker came back."""
        self.attempts.pop((pool, unit), None)

    def committed(self, progress: Progress) -> None:
        """Add the totals of a written shard."""
        self.progress.merge(progress)

    def snapshot(self) -> Progress:
        """Totals so far."""
        return self.progress


def start_ledger() -> ray.actor.ActorHandle:
    """A ledger that takes no CPU."""
    return ray.remote(num_cpus=0)(Ledger).remote()


class StageMetrics:
    """Ray metrics of a worker, seen in the dashboard and by Prometheus."""

    def __init__(self) -> None:
        self.clips = metrics.Counter(
            "soul_curation_clips", "Clips by stage and rule; kept ones have none", ("stage", "rule")
        )
        self.seconds = metrics.Histogram(
            "soul_curation_stage_seconds",
            "Wall time of a stage on one unit",
            [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
            ("stage",),
        )

    def record(self, before: Source, after: Source) -> None:
        """Publish what a pool's stages did to a unit."""
        for name, seconds in after.stage_seconds.items():
            self.seconds.observe(max(0.0, seconds - before.stage_seconds.get(name, 0.0)), {"stage": name})
        already = {clip.key for clip in before.clips if not clip.kept}
        for clip in after.clips:
            if clip.rejection is not None and clip.key not in already:
                self.clips.inc(1, {"stage": clip.rejection.stage, "rule": clip.rejection.rule})
            elif clip.payload is not None:
                self.clips.inc(1, {"stage": "kept", "rule": ""})
        decision = after.failure or after.rejection
        if decision is not None and before.active:
            self.clips.inc(1, {"stage": decision.stage, "rule": decision.rule})
