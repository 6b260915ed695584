"""Reject sources whose stored picture cannot be shown truthfully as ordinary video."""

from __future__ import annotations

from dataclasses import dataclass, replace

from curation.clip.schema import Decision, Source
from curation.media.colour import HDR_TRANSFERS, SDR_TRANSFERS, readable_matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatConfig:
    """Which video is taken that is not progressive BT.709."""

    take_hdr: bool = False
    """Whether high dynamic range (PQ, HLG, Dolby Vision) is tone-mapped and taken, rather than rejected. The level of
    its white is a convention (203 cd/m², ITU-R BT.2408) that recordings do not keep, so its brightness is a guess."""
    take_interlaced: bool = True
    """Whether interlaced video is deinterlaced (bwdif, one frame for each frame) and taken, rather than rejected."""


class FormatFilter:
    """Reject a source by its dynamic range, its fields and its colours."""

    def __init__(self, config: FormatConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source, rejected as a whole when it cannot be shown truthfully."""
        assert source.media is not None
        info = source.media.info
        if info.color_transfer in HDR_TRANSFERS:
            return source if self.config.take_hdr else _reject(source, "hdr")
        if info.color_transfer not in SDR_TRANSFERS:
            return _reject(source, "colour_transfer")
        if not readable_matrix(info.color_matrix):
            return _reject(source, "colour_matrix")
        if info.interlaced and not self.config.take_interlaced:
            return _reject(source, "interlaced")
        return source


def _reject(source: Source, rule: str) -> Source:
    return replace(source, rejection=Decision(stage="format", rule=rule))
