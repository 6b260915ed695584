"""What spoils a clip besides poor quality: how a detector reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from curation.clip.schema import Clip


class DefectDetector(Protocol):
    """Looks for defects of the picture as a whole.

    A formula measures a defect; a multimodal language model flags it with its probability (paper, Sec. 4.1: "poor image
    quality, visible logos, or remaining subtitles"). Either way each kind of defect is a number that grows with the
    defect, and the stage compares it with that kind's limit.
    """

    def detect(self, clip: Clip) -> Mapping[str, float]:
        """Severity by kind of defect; a kind that cannot be judged on this clip is left out."""
        ...
