"""Reject sources that are too small or too slow to be training material (paper, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from curation.clip.schema import Source
from curation.rules.rule import Limit, Rule, decide_source

STAGE = "resolution"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolutionConfig:
    """Thresholds on the file's own properties."""

    short_edge_above_px: int = 480
    """The short edge of the displayed picture must be greater than this (paper, Sec. 4.1)."""
    min_fps: float = 12.0
    """Slower video cannot show speech: below Nyquist for lips at about 5 syllables a second [our choice]."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a source."""
        small = Limit("resolution_short_edge_px", "<=", self.short_edge_above_px, "short_edge_above_px")
        slow = Limit("resolution_fps", "<", self.min_fps, "min_fps")
        told = Limit("resolution_fps", ">", 0.0)  # a file need not say how fast it is
        return Rule(name="short_edge", limits=(small,)), Rule(name="frame_rate", limits=(slow, told))


class ResolutionFilter:
    """Reject a source by its display size (rotation and pixel shape honoured) and frame rate."""

    def __init__(self, config: ResolutionConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source, rejected as a whole when it is too small or too slow."""
        assert source.media is not None
        info = source.media.info
        source = source.with_scores(resolution_short_edge_px=info.short_edge, resolution_fps=info.fps)
        return decide_source(source, STAGE, self.config.rules)
