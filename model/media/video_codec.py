"""The encoders that videos are written with: x264 for quality, NVIDIA's for speed."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

X264: Final = "h264"
"""The codec that is taken when none is asked for, and that every machine has."""

_BT709: Final = 1
_LIMITED_RANGE: Final = 1
# Constant quality as with x264's `crf`: NVENC varies the bit rate, without a limit, to hold its `cq`.
_NVENC: Final = {"preset": "p5", "tune": "hq", "rc": "vbr", "b": "0"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoCodec:
    """An encoder and its settings."""

    encoder: str
    """FFmpeg's name."""
    quality: str
    """Its option for constant quality, which takes x264's scale: 0 is best, 51 worst."""
    settings: Mapping[str, str]
    """Its other options."""
    tag: str = ""
    """What the file calls the codec, where FFmpeg's own choice is not played everywhere."""

    def options(self, crf: int) -> dict[str, str]:
        """The encoder's options at a quality."""
        return {self.quality: str(crf), **self.settings}

    def set_up(self, context: Any, *, height: int, width: int, fps: Fraction) -> None:
        """Size, key frames every second, and colours: BT.709 of limited range, tagged so."""
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.gop_size = round(fps)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        if self.tag:
            context.codec_tag = self.tag


CODECS: Final[Mapping[str, VideoCodec]] = {
    X264: VideoCodec(encoder="libx264", quality="crf", settings={}),
    "h264_nvenc": VideoCodec(encoder="h264_nvenc", quality="cq", settings=_NVENC),
    # QuickTime and Safari play HEVC under this name alone.
    "hevc_nvenc": VideoCodec(encoder="hevc_nvenc", quality="cq", settings=_NVENC, tag="hvc1"),
}
"""By the name that people give."""


def codec_problem(name: str, *, height: int, width: int, fps: int | Fraction, crf: int = 16) -> str | None:
    """Why this machine cannot write videos of a size with a codec; None where it can.

    The encoder is opened to see: FFmpeg's build may list one for which there is no device or no driver.
    """
    import av  # noqa: PLC0415 (a command line that only prints its help does not need it, which takes a quarter second)

    codec = CODECS[name]
    try:
        context = av.CodecContext.create(codec.encoder, "w")
        context.options = codec.options(crf)
        context.framerate, context.time_base = Fraction(fps), 1 / Fraction(fps)
        codec.set_up(context, height=height, width=width, fps=Fraction(fps))
        context.open()
    except av.codec.codec.UnknownCodecError:
        return "PyAV's FFmpeg has no such encoder"
    except av.FFmpegError as error:
        return f"the encoder cannot be opened here for {width}x{height} ({error.strerror})"
    return None
