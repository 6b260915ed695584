"""What the numbers of a picture mean: range, matrix, primaries and transfer (ITU-T H.273; the names are FFmpeg's).

All frames that are read have BT.709 primaries and transfer and standard dynamic range. All video that is written is
BT.709 of limited range, and tagged so.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple, Self

import av
from av.filter import Graph
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

UNKNOWN: Final = "unknown"
HDR_TRANSFERS: Final = frozenset({"smpte2084", "arib-std-b67", "dolby-vision"})
"""PQ, HLG, and Dolby Vision without a base layer that others could show."""
SDR_TRANSFERS: Final = frozenset(
    {UNKNOWN, "bt709", "gamma22", "gamma28", "smpte170m", "smpte240m", "iec61966-2-4", "iec61966-2-1"}
    | {"bt1361e", "bt2020-10", "bt2020-12"}
)
"""Transfers made for ordinary screens; the others are linear, logarithmic or for the cinema."""
WIDE_PRIMARIES: Final = frozenset({"bt2020", "smpte431", "smpte432"})
"""Primaries so far from BT.709's that a confusion of the two is visible. BT.601's are nearer, and are not converted."""

_MATRICES: Final = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
    15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
_PLAIN_TRANSFERS: Final = {
    "gamma22": "gamma22", "gamma28": "gamma28", "smpte170m": "smpte170m", "smpte240m": "smpte240m",
    "iec61966-2-1": "srgb", "bt2020-10": "bt2020-10", "bt2020-12": "bt2020-12",
}  # fmt: skip
"""What FFmpeg's filter calls transfers other than BT.709's."""
_CONVERTIBLE: Final = frozenset({"gbr", "bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})
_PRIMARIES: Final = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_TRANSFERS: Final = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_BT709, _BT601 = 1, 6
_DIRECT: Final = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
"""Matrices that FFmpeg's `colorspace` converts, by their names there."""
_TARGET: Final = "space=bt709:primaries=bt709:trc=bt709:range=tv:format=yuv420p"
_ANY_TIME_BASE: Final = Fraction(1, 1000)
"""A filter that looks at no times has to be given one."""
_OPEN: Final = 2
_HD_WIDTH, _SD_HEIGHT = 1280, 576


class Tags(NamedTuple):
    """Range, matrix, primaries and transfer by their numbers; 0 or 2 where they are left open."""

    color_range: int
    matrix: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, tagged: av.video.frame.VideoFrame | av.video.codeccontext.VideoCodecContext) -> Self:
        """The tags of a decoded frame or a stream; those of a stream are its container's until a frame has been
        decoded."""
        numbers = (tagged.color_range, tagged.colorspace, tagged.color_primaries, tagged.color_trc)
        return cls(*map(int, numbers))

    def completed_by(self, other: Tags) -> Tags:
        """These tags, completed by the other ones where they leave something open."""
        color_range, *rest = (
            theirs if own == left_open else own
            for own, theirs, left_open in zip(self, other, (0, _OPEN, _OPEN, _OPEN), strict=True)
        )
        return Tags(color_range, *rest)


WRITTEN: Final = Tags(
    color_range=ColorRange.MPEG, matrix=_BT709, primaries=ColorPrimaries.BT709, transfer=ColorTrc.BT709
)
"""The tags of all video that is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Colour:
    """What a stream says of its colours; `unknown` where it says nothing."""

    full_range: bool
    matrix: str
    primaries: str
    transfer: str
    assumed_matrix: bool
    """Whether the file names no matrix for its YUV; BT.709 is then assumed for HD, BT.601 below, as players do."""

    @property
    def high_dynamic_range(self) -> bool:
        """Whether it has to be tone-mapped to be shown on an ordinary screen."""
        return self.transfer in HDR_TRANSFERS

    @property
    def readable(self) -> bool:
        """Whether it can be turned into BT.709 at all."""
        return readable_matrix(self.matrix) and (self.transfer in SDR_TRANSFERS or self.high_dynamic_range)

    @property
    def needs_mapping(self) -> bool:
        """Whether converting matrix and range is not enough: it has other primaries or another dynamic range."""
        return self.readable and (self.high_dynamic_range or self.primaries in WIDE_PRIMARIES)

    @property
    def as_written(self) -> bool:
        """Whether it is BT.709 of limited range and tagged so; its packets may then be copied."""
        bt709 = {self.matrix, self.primaries, self.transfer} == {"bt709"}
        return bt709 and not self.full_range and not self.assumed_matrix


def readable_matrix(matrix: str) -> bool:
    """Whether libswscale can convert from it."""
    return matrix in _CONVERTIBLE


def colour_of(frame: av.video.frame.VideoFrame, container: Tags) -> Colour:
    """What a decoded frame's tags say; its container's tags where the frame's leave something open."""
    full, matrix, assumed = _range_and_matrix(frame, container)
    tags = Tags.of(frame).completed_by(container)
    transfer = _TRANSFERS.get(tags.transfer, UNKNOWN)
    if transfer == UNKNOWN and any("DOVI" in side.type.name for side in frame.side_data):
        transfer = "dolby-vision"
    return Colour(
        full_range=full,
        matrix=_MATRICES.get(matrix, UNKNOWN),
        primaries=_PRIMARIES.get(tags.primaries, UNKNOWN),
        transfer=transfer,
        assumed_matrix=assumed,
    )


def tag(frame: av.video.frame.VideoFrame, container: Tags) -> None:
    """Write range and matrix onto a frame where its stream leaves them open, so that every conversion knows them."""
    full, matrix, _ = _range_and_matrix(frame, container)
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    frame.colorspace = matrix


def mapping_filters(colour: Colour) -> list[tuple[str, str]]:
    """Names and arguments of the filters that turn other primaries or another dynamic range into BT.709.

    Wide primaries are converted in linear light and clipped; high dynamic range is tone-mapped by libswscale, which
    takes diffuse white to be at 203 cd/m² (ITU-R BT.2408).
    """
    if colour.high_dynamic_range:
        transfer = "arib-std-b67" if colour.transfer == "arib-std-b67" else "smpte2084"
        return [
            ("setparams", f"color_trc={transfer}:color_primaries=bt2020"),
            ("scale", "out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv"),
            ("format", "yuv420p"),
        ]
    primaries = f"iprimaries={colour.primaries}:itrc={_PLAIN_TRANSFERS.get(colour.transfer, 'bt709')}"
    space = "bt709" if colour.matrix in {"gbr", UNKNOWN} else colour.matrix.replace("nc", "ncl")
    formats = "|".join(f"yuv{chroma}p{depth}" for depth in ("", "10", "12") for chroma in (420, 422, 444))
    return [("format", formats), ("colorspace", f"ispace={space}:{primaries}:{_TARGET}")]


class Writing:
    """Makes frames what is written: 8-bit 4:2:0, BT.709, limited range; for the frames of one pass.

    What differs in matrix or range alone is converted by FFmpeg's `colorspace`, which computes each sample straight
    from the stored ones. libswscale goes by way of RGB, takes five times as long, and is 0.9 levels off on average, up
    to 10 where colours are strong; this is 0.24 off, which is rounding [measured on 576×768, BT.601 to BT.709].
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._graph: Graph | None = None
        self._graph_of: tuple[int, int, int, int] | None = None

    def apply(self, frame: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        """A tagged frame as it is written; the same frame where it is so already."""
        full = frame.color_range == ColorRange.JPEG
        if frame.format.name == "yuv420p" and frame.colorspace in _DIRECT and (full or frame.colorspace != _BT709):
            return self._directly(frame, full=full)
        return self._scaler.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
        )

    def _directly(self, frame: av.video.frame.VideoFrame, *, full: bool) -> av.video.frame.VideoFrame:
        kind = (frame.width, frame.height, int(frame.colorspace), int(full))
        if self._graph is None or self._graph_of != kind:
            source = f"ispace={_DIRECT[int(frame.colorspace)]}:irange={'pc' if full else 'tv'}"
            self._graph, self._graph_of = Graph(), kind
            nodes = [
                self._graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=_ANY_TIME_BASE
                ),
                # Primaries and transfer are BT.709's, or near them, in all that is read.
                self._graph.add("colorspace", f"{source}:iprimaries=bt709:itrc=bt709:{_TARGET}"),
                self._graph.add("buffersink"),
            ]
            self._graph.link_nodes(*nodes).configure()
        self._graph.vpush(frame)
        return self._graph.vpull()


def tag_output(context: av.video.codeccontext.VideoCodecContext) -> None:
    """Have an encoder tag what it writes."""
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = WRITTEN


def _range_and_matrix(frame: av.video.frame.VideoFrame, container: Tags) -> tuple[bool, int, bool]:
    """Full range, number of the matrix, and whether that was assumed."""
    if frame.format.is_rgb:
        return True, 0, False
    tags = Tags.of(frame).completed_by(container)
    full = tags.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    if tags.matrix in _MATRICES and tags.matrix != 0:
        return full, tags.matrix, False
    high_definition = max(frame.width, frame.height) >= _HD_WIDTH or min(frame.width, frame.height) > _SD_HEIGHT
    return full, _BT709 if high_definition else _BT601, True
