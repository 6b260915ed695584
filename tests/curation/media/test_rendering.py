"""Interlaced video is shown as whole frames, or known for what it is."""

from __future__ import annotations

import io
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.defects.combing import combed_share
from curation.clip.schema import Media, Source
from curation.media import Cut, cut_clips, iter_raw_frames, probe
from curation.stages.scenes import SceneDetection, ScenesConfig
from tests.worlds.recordings import delayed

WIDTH, HEIGHT, NUM_FRAMES = 320, 256, 30


def moment(index: int) -> npt.NDArray[np.uint8]:
    """Soft texture that passes by, 50 moments a second, (H, W, 3) BGR."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 4), np.uint8)
    texture = cv2.resize(noise, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.repeat(texture[:, 3 * index : 3 * index + WIDTH, None], 3, axis=2)


def write_interlaced(
    path: Path, *, marked: bool, codec: str = "libx264", top_first: bool = True, woven: bool = True
) -> Path:
    """Fields of two moments woven into each frame, or of one; `marked` as interlaced or taken for progressive."""
    with av.open(str(path), "w") as output:
        options = {"flags": "+ildct+ilme"} if marked else {}
        if codec == "libx264" and marked:
            options["x264-params"] = "tff=1" if top_first else "bff=1"
        stream = output.add_stream(codec, rate=25, options={**options, "b": "6M"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        for index in range(NUM_FRAMES):
            image, second = moment(2 * index), moment(2 * index + woven)
            image[1 if top_first else 0 :: 2] = second[1 if top_first else 0 :: 2]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def shares(path: Path) -> list[float]:
    return [combed_share(raw.luma()) for raw in iter_raw_frames(str(path))]


@pytest.mark.parametrize(
    ("name", "codec", "top_first"),
    [("a.ts", "libx264", True), ("a.mp4", "libx264", False), ("a.mpg", "mpeg2video", True)],
)
def test_interlaced_video_is_deinterlaced(tmp_path: Path, name: str, codec: str, top_first: bool) -> None:
    path = write_interlaced(tmp_path / name, marked=True, codec=codec, top_first=top_first)
    assert probe(str(path)).field_order in {"tt", "bb", "tb", "bt"}
    frames = list(iter_raw_frames(str(path)))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(NUM_FRAMES)], abs=1e-3)
    assert max(shares(path)) < 0.002
    (video,) = cut_clips(str(path), [Cut(0.0, NUM_FRAMES / 25)])
    assert video is not None
    assert (video.num_frames, video.stream_copied) == (NUM_FRAMES, False)
    with av.open(io.BytesIO(video.mp4)) as container:
        written = list(container.decode(video=0))
        assert not any(frame.interlaced_frame for frame in written)
        assert max(combed_share(frame.to_ndarray(format="gray")) for frame in written) < 0.002


def test_fields_that_begin_on_the_way_are_deinterlaced(tmp_path: Path) -> None:
    first = write_interlaced(tmp_path / "a.ts", marked=False, woven=False)
    second = write_interlaced(tmp_path / "b.ts", marked=True)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + delayed(second, tmp_path / "c.ts", NUM_FRAMES / 25).read_bytes())
    path = delayed(joined, tmp_path / "a.mp4", 0.0)
    assert probe(str(path)).field_order == "progressive"
    assert max(shares(path)) < 0.002
    (video,) = cut_clips(str(path), [Cut(0.0, 2 * NUM_FRAMES / 25)])
    assert video is not None
    assert (video.num_frames, video.stream_copied) == (2 * NUM_FRAMES, False)


@pytest.mark.parametrize(("codec", "name"), [("ffvhuff", "a.mkv"), ("utvideo", "a.mkv"), ("mjpeg", "a.mov")])
def test_the_container_s_word_on_fields_is_enough(tmp_path: Path, codec: str, name: str) -> None:
    path = tmp_path / name
    woven = write_interlaced(tmp_path / "woven.mkv", marked=False, codec="ffv1")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(woven)]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    command += ["-vf", "setfield=tff", "-c:v", codec, "-q:v", "2", "-pix_fmt", pixels, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    assert probe(str(path)).field_order in {"tt", "tb"}
    assert len(shares(path)) == NUM_FRAMES
    assert max(shares(path)) < 0.002


def test_of_dv_the_lower_field_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "a.dv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=0.4"]
    subprocess.run([*command, "-c:v", "dvvideo", str(path)], check=True, stdin=subprocess.DEVNULL)
    info = probe(str(path))
    assert (info.field_order, info.fps) == ("bb", 25.0)


def test_a_span_of_interlaced_video_is_exact(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.ts", marked=True)
    whole = {raw.time_s: raw.image() for raw in iter_raw_frames(str(path))}
    part = {raw.time_s: raw.image() for raw in iter_raw_frames(str(path), 0.8, 1.2)}
    assert sorted(part) == [time for time in sorted(whole) if 0.799 < time < 1.199]


def test_woven_video_that_is_not_marked_is_rejected(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.mp4", marked=False)
    assert np.mean(shares(path)) > 0.003
    source = Source(uri=str(path), media=Media(path=str(path), info=probe(str(path))))
    rejection = SceneDetection(ScenesConfig())(source).rejection
    assert rejection is not None
    assert (rejection.stage, rejection.rule) == ("scenes", "combed")
