"""Reject sources that are too small or too slow to be training material (paper, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from curation.clip.schema import Decision, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolutionConfig:
    """Thresholds on the file's own properties."""

    short_edge_above_px: int = 480
    """The short edge of the displayed picture must be greater than this (paper, Sec. 4.1)."""
    min_fps: float = 12.0
    """Slower video cannot show speech: below Nyquist for lips at about 5 syllables a second [our choice]."""


class ResolutionFilter:
    """Reject a source by its display size (rotation and pixel shape honoured) and frame rate."""

    def __init__(self, config: ResolutionConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source, rejected as a whole when it is too small or too slow."""
        assert source.media is not None
        info, config = source.media.info, self.config
        if info.short_edge <= config.short_edge_above_px:
            return replace(source, rejection=_reject("short_edge", info.short_edge, config.short_edge_above_px))
        if 0 < info.fps < config.min_fps:
            return replace(source, rejection=_reject("frame_rate", info.fps, config.min_fps))
        return source


def _reject(rule: str, value: float, threshold: float) -> Decision:
    return Decision(stage="resolution", rule=rule, value=float(value), threshold=float(threshold))
