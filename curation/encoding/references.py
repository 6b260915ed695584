"""Which single frames become a clip's references: random ones of the same shot."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.encoding.curated_clips import CuratedClip
from model.codecs.image import size_for_area


@dataclass(frozen=True, slots=True)
class Draw:
    """One frame of one clip."""

    key: str
    frame: int
    """Number among the clip's own frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Clips that lend each other frames as references: of one shot and one size, and either all crops or no crops."""

    clips: tuple[CuratedClip, ...]
    size: tuple[int, int]
    """(H, W) in pixels of what is encoded."""
    draws: dict[str, tuple[Draw, ...]]
    """References of each clip."""

    def asked_of(self, key: str) -> list[int]:
        """The frames of one clip that any clip drew, in order."""
        return sorted({draw.frame for draws in self.draws.values() for draw in draws if draw.key == key})


def group_clips(clips: Sequence[CuratedClip], *, area: int, num_references: int) -> list[Group]:
    """Put clips into groups and draw each one's references uniformly from all frames of its group.

    The draw derives from the clip's key: encoding again gives the same.
    """
    members: dict[tuple[object, ...], list[CuratedClip]] = defaultdict(list)
    for clip in clips:
        size = size_for_area(clip.width, clip.height, area)
        members[clip.source, clip.shot, clip.is_crop, size].append(clip)
    return [
        Group(
            clips=tuple(group),
            size=size_for_area(group[0].width, group[0].height, area),
            draws={clip.key: _draw(clip, group, num_references) for clip in group},
        )
        for group in members.values()
    ]


def generator_of(key: str, purpose: str) -> np.random.Generator:
    """A generator of random numbers that the clip's key and the purpose fix."""
    return np.random.default_rng(list(hashlib.sha256(f"{purpose}|{key}".encode()).digest()))


def _draw(clip: CuratedClip, group: Sequence[CuratedClip], count: int) -> tuple[Draw, ...]:
    ends = np.cumsum([member.num_frames for member in group])
    total = int(ends[-1])
    if total == 0:
        return ()
    chosen = generator_of(clip.key, "references").choice(total, size=count, replace=total < count)
    owners = np.searchsorted(ends, chosen, side="right")
    return tuple(
        Draw(group[owner].key, int(frame - (ends[owner] - group[owner].num_frames)))
        for owner, frame in zip(owners.tolist(), chosen.tolist(), strict=True)
    )
