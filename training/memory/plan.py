"""A plan: what each phase of a training holds on one GPU, part by part, and the peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Phase = Literal["scoring", "backward", "step", "validation", "decoding"]
PHASES: Final[tuple[Phase, ...]] = ("scoring", "backward", "step", "validation", "decoding")
"""Scoring, where a distillation's teacher and critic judge a clip; the backward of a micro-batch; the optimizer's step;
the network's forwards under the average; and the decoding of the videos that they have made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one GPU holds."""

    phases: Sequence[Phase]
    """Those that the training has."""
    parts: Mapping[str, Mapping[Phase, float]] = field(repr=False)
    """Bytes of each part in the phases that have it."""

    def together(self, phase: Phase) -> float:
        """Bytes of all parts in a phase."""
        return sum(part.get(phase, 0) for part in self.parts.values())

    @property
    def peak(self) -> float:
        """Bytes in the phase that holds most."""
        return max(map(self.together, self.phases))


class Ledger:
    """Adds the parts of a plan up.

    Args:
        phases: those that the training has; what is added to others is left out.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = phases
        self._parts: dict[str, dict[Phase, float]] = {}

    def add(self, part: str, size: float, *phases: Phase) -> None:
        """Add bytes to a part, in the phases named, or in all of them."""
        present = [phase for phase in phases or self.phases if phase in self.phases]
        if size and present:
            sizes = self._parts.setdefault(part, {})
            for phase in present:
                sizes[phase] = sizes.get(phase, 0) + size

    def plan(self) -> Plan:
        """What has been added."""
        return Plan(phases=self.phases, parts=self._parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """How a training is laid out over GPUs."""

    world: int
    """GPUs that train together."""
    zero_stage: int
    """See `ParallelConfig`."""
    sequence_parallel: int
    """GPUs that share every clip."""
