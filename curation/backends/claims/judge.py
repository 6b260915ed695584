"""Judging claims: the interface of judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from curation.clip.claims import Claim
from curation.clip.schema import Clip


class ClaimJudge(Protocol):
    """Compares claims with a clip's keyframes (paper, Sec. 4.1: a second check by Qwen2.5-VL-72B)."""

    def judge(self, clip: Clip, claims: Sequence[Claim]) -> Mapping[Claim, float]:
        """How probable each claim is, in [0, 1]; a claim that cannot be judged on this clip is left out."""
        ...
