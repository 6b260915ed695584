from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from model.media.video import VideoWriter
from model.media.video_codec import CODECS, X264, VideoCodec, codec_problem


def test_x264_is_everywhere() -> None:
    assert codec_problem(X264, height=704, width=1280, fps=25) is None


@pytest.mark.parametrize("name", ["h264_nvenc", "hevc_nvenc"])
def test_an_encoder_without_its_device_is_a_problem_and_its_options_are_none(name: str) -> None:
    problem = codec_problem(name, height=704, width=1280, fps=25)
    # FFmpeg reads the options before it looks for the device.
    assert problem is None or "Invalid argument" not in problem
    wrong = codec_problem(name, height=704, width=1280, fps=25, crf=99)
    assert wrong is not None


def test_a_wrong_option_and_an_absent_encoder_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = VideoCodec(encoder="h264_nvenc", quality="cq", settings={"preset": "finest"})
    absent = VideoCodec(encoder="h264_crystal", quality="cq", settings={})
    monkeypatch.setattr("model.media.video_codec.CODECS", {"wrong": wrong, "absent": absent})
    told = codec_problem("wrong", height=704, width=1280, fps=25)
    assert told == "the encoder cannot be opened here for 1280x704 (Invalid argument)"
    told = codec_problem("absent", height=704, width=1280, fps=25)
    assert told == "PyAV's FFmpeg has no such encoder"


def test_another_codec_has_the_same_colours_key_frames_and_a_name_that_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # x265 stands for NVIDIA's encoder of HEVC.
    nvenc = CODECS["hevc_nvenc"]
    codec = VideoCodec(encoder="libx265", quality="crf", settings={"x265-params": "log-level=error"}, tag=nvenc.tag)
    monkeypatch.setattr("model.media.video.CODECS", {"hevc": codec})
    frames = np.broadcast_to((np.arange(60, dtype=np.uint8) * 3)[:, None, None, None], (60, 64, 64, 3))
    with VideoWriter(tmp_path / "out.mp4", height=64, width=64, fps=25, codec="hevc") as writer:
        writer.write(frames)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.codec_tag) == ("hevc", "hvc1")
        assert context.color_range == ColorRange.MPEG
        assert context.colorspace == context.color_primaries == context.color_trc == 1
        back = list(container.decode(video=0))
    assert [frame.pts for frame in back if frame.key_frame] == [
        frame.pts for number, frame in enumerate(back) if number % 25 == 0
    ]
    shown = np.stack([frame.to_ndarray(format="rgb24") for frame in back])
    assert np.abs(shown.astype(int) - frames).max() <= 4
