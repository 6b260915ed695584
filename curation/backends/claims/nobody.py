"""No judge: what was measured decides alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curation.clip.claims import Claim
from curation.clip.schema import Clip


class Nobody:
    """Judges no claim."""

    def judge(self, clip: Clip, claims: Sequence[Claim]) -> Mapping[Claim, float]:  # noqa: ARG002
        """Nothing, whatever is claimed."""
        return {}
