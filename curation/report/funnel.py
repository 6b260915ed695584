"""The way of sources, then of clips, through the stages: how many enter, and which rule takes out how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.report.summary import Loss, Summary

CLIPS_BEGIN_AT = "split"
"""The stage that makes clips; those before it see whole sources."""
CROPS_BEGIN_AT = "pose"
"""The stage that adds crops; those before it do not see them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One stage of a funnel."""

    stage: str
    num_in: int
    """How many enter the stage."""
    num_new: int
    """How many the stage makes."""
    num_out: int
    """How many go on to the next stage."""
    seconds_in: float
    """Seconds of those that enter, and of what the stage makes."""
    seconds_out: float
    """Seconds of those that go on."""
    losses: tuple[Loss, ...]

    @property
    def num_lost(self) -> int:
        """How many the stage takes out."""
        return self.num_in + self.num_new - self.num_out


def source_funnel(summary: Summary) -> list[Step]:
    """Units of work: the stages before clips exist, and any later stage in which a whole unit failed."""
    lossy = {loss.stage for loss in summary.source_losses}
    early = _before(summary.stages, CLIPS_BEGIN_AT)
    stages = [stage for stage in _all_stages(summary.stages, summary.source_losses) if stage in early or stage in lossy]
    return _steps(stages, summary.num_units, summary.unit_seconds, {}, summary.source_losses)


def clip_funnel(summary: Summary) -> list[Step]:
    """Clips: the stages from the one that makes them."""
    lossy = {loss.stage for loss in summary.clip_losses}
    early = _before(summary.stages, CLIPS_BEGIN_AT)
    stages = [
        stage for stage in _all_stages(summary.stages, summary.clip_losses) if stage not in early or stage in lossy
    ]
    new = {CROPS_BEGIN_AT: (summary.num_crops, summary.crop_seconds)} if CROPS_BEGIN_AT in stages else {}
    made, made_s = new.get(CROPS_BEGIN_AT, (0, 0.0))
    return _steps(stages, summary.num_clips - made, summary.clip_seconds - made_s, new, summary.clip_losses)


def _before(stages: Sequence[str], name: str) -> Sequence[str]:
    return stages[: stages.index(name)] if name in stages else stages


def _all_stages(stages: Sequence[str], losses: Sequence[Loss]) -> list[str]:
    """The stages that ran, then those known only by what they took out (a crashed worker, say)."""
    return list(dict.fromkeys([*stages, *(loss.stage for loss in losses)]))


def _steps(
    stages: Sequence[str], count: int, seconds: float, new: dict[str, tuple[int, float]], losses: Sequence[Loss]
) -> list[Step]:
    steps = []
    for stage in stages:
        own = tuple(loss for loss in losses if loss.stage == stage)
        made, made_s = new.get(stage, (0, 0.0))
        after = count + made - sum(loss.count for loss in own)
        # Seconds are summed in another order than they were lost in: an empty rest must not come out as -0.
        after_s = max(0.0, seconds + made_s - sum(loss.seconds for loss in own))
        step = Step(
            stage=stage,
            num_in=count,
            num_new=made,
            num_out=after,
            seconds_in=seconds + made_s,
            seconds_out=after_s,
            losses=own,
        )
        steps.append(step)
        count, seconds = after, after_s
    return steps
