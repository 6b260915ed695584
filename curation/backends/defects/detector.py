"""What spoils a clip besides poor quality: how a detector reports it, and which detectors there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from curation.clip.schema import Clip


class DefectDetector(Protocol):
    """Looks for defects of the picture as a whole.

    Formulas measure them; a multimodal language model flags them (paper, Sec. 4.1: "poor image quality,
    visible logos, or remaining subtitles") with its probability. Either way each kind of defect is a number
    that grows with the defect, and the stage holds it against that kind's limit.
    """

    def detect(self, clip: Clip) -> Mapping[str, float]:
        """Severity by kind of defect; a kind that cannot be judged on this clip is left out."""
        ...
