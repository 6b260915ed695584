"""Reject sources whose stored picture cannot be shown truthfully as ordinary video."""

from __future__ import annotations

from dataclasses import dataclass

from curation.clip.schema import Source
from curation.media.colour import HDR_TRANSFERS, SDR_TRANSFERS, readable_matrix
from curation.rules.rule import Limit, Rule, decide_source

STAGE = "format"


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatConfig:
    """Which video is taken that is not progressive BT.709."""

    take_hdr: bool = False
    """Whether high dynamic range (PQ, HLG, Dolby Vision) is tone-mapped and taken, rather than rejected. The level of
    its white is a convention (203 cd/m², ITU-R BT.2408) that recordings do not keep, so its brightness is a guess."""
    take_interlaced: bool = True
    """Whether interlaced video is deinterlaced (bwdif, one frame for each frame) and taken, rather than rejected."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a source whose colours can be read."""
        hdr = Limit("format_hdr", ">", float(self.take_hdr), "take_hdr")
        interlaced = Limit("format_interlaced", ">", float(self.take_interlaced), "take_interlaced")
        return (
            Rule(name="hdr", limits=(hdr,), is_switch=True),
            Rule(name="interlaced", limits=(interlaced,), is_switch=True),
        )


class FormatFilter:
    """Reject a source by its dynamic range, its fields and its colours."""

    def __init__(self, config: FormatConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source, rejected as a whole when it cannot be shown truthfully."""
        assert source.media is not None
        info = source.media.info
        is_hdr = info.color_transfer in HDR_TRANSFERS
        if not is_hdr and info.color_transfer not in SDR_TRANSFERS:
            return source.reject(STAGE, "colour_transfer")
        if not is_hdr and not readable_matrix(info.color_matrix):
            return source.reject(STAGE, "colour_matrix")
        source = source.with_scores(format_hdr=float(is_hdr), format_interlaced=float(info.interlaced))
        return decide_source(source, STAGE, self.config.rules)
