"""Colours survive: whatever a file stores them as, stages see them and clips hold them as they were."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange, Interpolation

from curation.clip.observations import Box
from curation.media import Cut, check_video, cut_clips, iter_frames, probe

BARS = np.array(
    [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191), (40, 90, 160)]
)
"""RGB."""
MAX_LEVELS = 3.0
NUM_FRAMES = 3
WHOLE = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """How the bars are stored: numbers are those of ITU-T H.273."""

    matrix: int = 1
    tagged_matrix: int | None = None
    full: bool = False
    primaries: int = 1
    transfer: int = 1
    pixel_format: str = "yuv420p"
    codec: str = "libx264"
    name: str = "a.mp4"
    size: tuple[int, int] = (256, 144)


KINDS = {
    "BT.709": Stored(),
    "BT.709, HEVC": Stored(codec="libx265"),
    "BT.601": Stored(matrix=6, primaries=6, transfer=6),
    "PAL": Stored(matrix=5, primaries=5, transfer=6),
    "full range": Stored(full=True),
    "full range, BT.601": Stored(full=True, matrix=6),
    "4:4:4": Stored(pixel_format="yuv444p"),
    "ten bits": Stored(pixel_format="yuv420p10le", codec="libx265"),
    "RGB": Stored(pixel_format="rgb24", codec="libx264rgb", name="a.mkv", full=True, matrix=0),
    "Motion JPEG": Stored(pixel_format="yuvj420p", codec="mjpeg", name="a.mov", full=True, matrix=5),
    "untagged, small": Stored(matrix=6, tagged_matrix=2, primaries=2, transfer=2),
    "untagged, large": Stored(matrix=1, tagged_matrix=2, primaries=2, transfer=2, size=(1280, 720)),
}


def bars(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB, the first row of patches `BARS`."""
    width, height = size
    return np.broadcast_to(np.repeat(BARS, width // len(BARS), axis=0), (height, width, 3)).astype(np.uint8)


def write_bars(path: Path, stored: Stored, image: npt.NDArray[np.uint8] | None = None) -> Path:
    image = bars(stored.size) if image is None else image
    with av.open(str(path), "w") as output:
        options = {"qmin": "1", "qmax": "2"} if stored.codec == "mjpeg" else {"crf": "4"}
        stream = output.add_stream(stored.codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *stored.size, stored.pixel_format
        context = stream.codec_context
        context.colorspace = stored.matrix if stored.tagged_matrix is None else stored.tagged_matrix
        context.color_primaries, context.color_trc = stored.primaries, stored.transfer
        context.color_range = ColorRange.JPEG if stored.full else ColorRange.MPEG
        for index in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if stored.matrix:
                frame = frame.reformat(
                    format=stored.pixel_format,
                    dst_colorspace=stored.matrix if stored.matrix != 6 else 5,
                    dst_color_range=ColorRange.JPEG if stored.full else ColorRange.MPEG,
                )
            frame.colorspace = context.colorspace
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def patches(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(8, 3): the middle of each bar."""
    height, width = image.shape[:2]
    bar = width // len(BARS)
    return np.array(
        [
            image[height // 4 : height // 2, index * bar + bar // 4 : index * bar + bar // 2].mean(axis=(0, 1))
            for index in range(len(BARS))
        ]
    )


def exported(path: Path, crop: Box | None) -> npt.NDArray[np.uint8]:
    """An exported clip's frame as FFmpeg decodes it by the clip's tags, (H, W, 3) RGB."""
    (video,) = cut_clips(str(path), [Cut(0.0, NUM_FRAMES / 25, crop)])
    assert video is not None
    assert check_video(video.mp4, [index / 25 for index in range(NUM_FRAMES)]) is None
    with av.open(io.BytesIO(video.mp4)) as container:
        frame = next(container.decode(video=0))
        assert [int(frame.color_range), int(frame.colorspace)] == [1, 1]
        assert [int(frame.color_primaries), int(frame.color_trc)] == [1, 1]
        return accurately(frame)


def accurately(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB without the levels that FFmpeg's quick conversion loses."""
    flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return np.asarray(frame.reformat(format="rgb24", interpolation=flags).to_ndarray(), np.uint8)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_colours_survive(tmp_path: Path, kind: str) -> None:
    path = write_bars(tmp_path / KINDS[kind].name, KINDS[kind])
    seen = next(iter(iter_frames(str(path)))).image[..., ::-1]
    for image in (seen, exported(path, None), exported(path, WHOLE)):
        assert np.abs(patches(image) - BARS).max() <= MAX_LEVELS


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (Stored(codec="libx265"), "a.mkv"),
        (Stored(codec="libx265"), "a.mp4"),
        (Stored(codec="libx264"), "a.mp4"),
        (Stored(codec="libx265", matrix=9, primaries=9, transfer=16, pixel_format="yuv420p10le"), "a.mp4"),
    ],
    ids=["HEVC in Matroska", "HEVC in mp4", "H.264 in mp4", "PQ"],
)
def test_what_only_the_container_says_is_believed(tmp_path: Path, stored: Stored, name: str) -> None:
    tagged = write_bars(tmp_path / "tagged.mp4", stored)
    filters = {"libx265": "hevc_metadata", "libx264": "h264_metadata"}
    nothing = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    path = tmp_path / name
    with av.open(str(tagged)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        forget = av.bitstream.BitStreamFilterContext(f"{filters[stored.codec]}={nothing}", stream, copied)
        for packet in source.demux(stream):
            for filtered in forget.filter(packet if packet.size else None):
                filtered.stream = copied
                target.mux(filtered)
    with av.open(str(path)) as container:
        assert int(next(container.decode(video=0)).colorspace) == 2
    info = probe(str(path))
    if stored.transfer == 16:
        assert (info.color_transfer, info.color_matrix) == ("smpte2084", "bt2020nc")
        return
    assert (info.color_matrix, info.color_matrix_assumed) == ("bt709", False)
    seen = next(iter(iter_frames(str(path)))).image[..., ::-1]
    for image in (seen, exported(path, None)):
        assert np.abs(patches(image) - BARS).max() <= MAX_LEVELS


def encoded_in(rgb: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """BT.709 colours in other primaries, with the same transfer."""
    signal = rgb / 255
    light = np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))
    other = np.clip(light @ matrix.T, 0, 1)
    signal = np.where(other < 0.018, 4.5 * other, 1.099 * other**0.45 - 0.099)
    return np.asarray(np.round(255 * signal), np.uint8)


BT2020_FROM_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
P3_FROM_BT709 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


@pytest.mark.parametrize(
    ("stored", "matrix"),
    [
        (Stored(matrix=9, primaries=9, transfer=14, pixel_format="yuv420p10le", codec="libx265"), BT2020_FROM_BT709),
        (Stored(primaries=12), P3_FROM_BT709),
    ],
    ids=["BT.2020", "Display P3"],
)
def test_wide_primaries_are_converted(tmp_path: Path, stored: Stored, matrix: npt.NDArray[np.float64]) -> None:
    path = write_bars(tmp_path / "a.mp4", stored, encoded_in(bars(stored.size).astype(np.float64), matrix))
    seen = next(iter(iter_frames(str(path)))).image[..., ::-1]
    for image in (seen, exported(path, None)):
        assert np.abs(patches(image) - BARS).max() <= 2 * MAX_LEVELS


HDR = Stored(matrix=9, primaries=9, pixel_format="yuv420p10le", codec="libx265")


@pytest.mark.parametrize(("transfer", "name"), [(16, "smpte2084"), (18, "arib-std-b67")], ids=["PQ", "HLG"])
def test_high_dynamic_range_is_recorded(tmp_path: Path, transfer: int, name: str) -> None:
    path = write_bars(tmp_path / "a.mp4", replace(HDR, transfer=transfer))
    assert probe(str(path)).color_transfer == name


# Diffuse white lies at 58 % of PQ's signal, at 75 % of HLG's.
@pytest.mark.parametrize(
    ("transfer", "level"),
    [pytest.param(16, 148, id="PQ"), pytest.param(18, 191, id="HLG", marks=pytest.mark.slow)],
)
def test_high_dynamic_range_is_tone_mapped(tmp_path: Path, transfer: int, level: int) -> None:
    white = np.full((144, 256, 3), level, np.uint8)
    path = write_bars(tmp_path / "a.mp4", replace(HDR, transfer=transfer), white)
    seen = next(iter(iter_frames(str(path)))).image
    assert 200 < seen.mean() <= 255, "diffuse white is shown nearly white"
