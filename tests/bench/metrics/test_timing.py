"""Lengths and rates come from the frames, whatever the header says; and a reason that is given is true."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from bench.evaluation.controls import make
from bench.metrics.appearance import Appearance
from bench.metrics.av_align import AvAlign, AvAlignConfig
from bench.metrics.identity_colour import IdentityColour
from bench.metrics.metric import VideoInput
from bench.metrics.mouth_sync import MouthSync
from bench.metrics.timing import frame_rate, length_s, shown_times
from bench.metrics.video_sound import hear
from bench.metrics.vtc import spread_frames
from bench.samples.samples import Sample
from curation.media import MediaError, probe
from tests.worlds.bench_samples import around_the_face, portrait
from tests.worlds.moving_mouth import frames, syllables, voice, write_video
from tests.worlds.odd_videos import flat, write_odd, write_without_frames

SAMPLE = Sample(id="0001_human_talk_en_male", prompt="She talks.")


def shown(path: Path, image: Path | None = None) -> VideoInput:
    return VideoInput(path=path, sample=Sample(id=SAMPLE.id, prompt=SAMPLE.prompt, image=image))


def test_a_usual_video_is_as_long_and_as_fast_as_its_header_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "usual.mp4", flat(50), None)
    assert len(shown_times(path)) == 50
    assert length_s(path) == pytest.approx(probe(str(path)).duration_s, abs=1e-6)
    assert frame_rate(path) == 25


@pytest.mark.parametrize("name", ["live.webm", "live.mkv"])
def test_a_recording_without_a_length_is_counted(tmp_path: Path, name: str) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = write_odd(tmp_path / name, flat(50), codec=codec, live=True)
    assert length_s(path) == pytest.approx(2.0, abs=1e-6)
    assert frame_rate(path) == 25


def test_frames_at_odd_times_last_until_the_last_one_was_shown(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 1.0, 1.04, 3.0]
    for name in ("odd.mp4", "odd.mkv"):
        path = write_odd(tmp_path / name, flat(6), times_s=times)
        assert length_s(path) == pytest.approx(3.04, abs=0.005)
        assert frame_rate(path) == pytest.approx(5 / 3, rel=0.01)


def test_the_sound_s_length_is_not_the_video_s(tmp_path: Path) -> None:
    path = write_odd(tmp_path / "longer.mkv", flat(50), voice(syllables(5.0, 0)))
    assert length_s(path) == pytest.approx(2.0, abs=1e-6)
    assert len(hear(shown(path), 16_000)) == 32_000


def test_a_file_that_breaks_off_is_as_long_as_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3)).astype(np.uint8)
    whole = write_odd(tmp_path / "whole.ts", list(noise))
    (tmp_path / "half.ts").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert length_s(whole) == pytest.approx(2.0, abs=0.001)
    assert 0.5 < length_s(tmp_path / "half.ts") < 1.5


def test_a_single_frame_is_a_frame_long(tmp_path: Path) -> None:
    for name, codec in (("one.mp4", "libx264"), ("one.webm", "libvpx")):
        assert length_s(write_odd(tmp_path / name, flat(1), codec=codec, live=name.endswith("webm"))) == pytest.approx(
            0.04
        )


def test_what_has_no_frame_and_what_has_no_times_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        length_s(write_without_frames(tmp_path / "none.mp4"))
    assert caught.value.rule == "undecodable"
    with pytest.raises(MediaError) as caught:
        length_s(tmp_path / "absent.mp4")
    assert caught.value.rule == "missing"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> VideoInput:
    """A talking portrait as a browser records it: no length in the header."""
    folder = tmp_path_factory.mktemp("live")
    cv2.imwrite(str(folder / "portrait.png"), portrait())
    loudness = syllables(3.0, 0)
    talk = around_the_face(frames(loudness, 3.0))
    path = write_odd(folder / "live.webm", talk, voice(loudness), codec="libvpx", live=True)
    assert len(shown_times(path)) == 75
    return shown(path, folder / "portrait.png")


@pytest.mark.parametrize(
    "metric",
    [
        Appearance(),
        AvAlign(AvAlignConfig(short_edge=96)),
        AvAlign(AvAlignConfig(fps=0, short_edge=96)),
        MouthSync(),
        IdentityColour(),
    ],
)
def test_every_metric_measures_a_live_recording_whole(
    live: VideoInput, metric: Appearance | AvAlign | MouthSync | IdentityColour
) -> None:
    outcome = metric(live)
    assert outcome.reason is None
    if isinstance(metric, AvAlign):
        assert len(outcome.detail["motion"]) == 75
    if isinstance(metric, MouthSync):
        assert outcome.detail["num_frames"] == 75
        assert outcome.values["mouth_offset_abs"] <= 2


def test_frames_for_a_judge_and_controls_are_of_the_whole_recording(live: VideoInput, tmp_path: Path) -> None:
    assert [frame.time_s for frame in spread_frames(live, 3, 64)] == pytest.approx([0.5, 1.5, 2.5])
    frozen = make("frozen", live, None, tmp_path)
    assert len(shown_times(frozen.path)) == 75
    assert length_s(frozen.path) == pytest.approx(3.0)
    assert len(hear(make("shift+5", live, None, tmp_path), 22_050)) == 3 * 22_050


def test_a_freeze_is_timed_by_the_frames_own_times(tmp_path: Path) -> None:
    """Three frames repeat the one before: 0.04 s, 1.92 s and 0.04 s."""
    noise = [np.random.default_rng(seed).integers(0, 255, (64, 64, 3)).astype(np.uint8) for seed in range(4)]
    images = [noise[0], noise[0], noise[1], noise[1], noise[2], noise[2], noise[3]]
    times = [0.0, 0.04, 0.08, 2.0, 2.04, 2.08, 2.12]
    path = write_odd(tmp_path / "freeze.mkv", images, times_s=times, codec="ffv1")
    assert Appearance()(shown(path)).values["longest_freeze"] == pytest.approx(1.92, abs=0.002)


def test_short_is_said_of_short_videos_only(tmp_path: Path) -> None:
    image = tmp_path / "portrait.png"
    cv2.imwrite(str(image), portrait())
    two = write_odd(tmp_path / "two.mp4", flat(2), times_s=[0.0, 5.0])
    assert Appearance()(shown(two)).reason == "too few frames"
    one = write_video(tmp_path / "one.mp4", [portrait()], voice(syllables(0.04, 0)))
    assert Appearance()(shown(one)).reason == "too short"
    assert MouthSync()(shown(one)).reason == "too short"
    # A face of 0.2 s is a face: the picture is looked at, however short.
    short = write_video(tmp_path / "short.mp4", [portrait()] * 5, None)
    outcome = IdentityColour()(shown(short, image))
    assert outcome.reason is None
    assert outcome.values["face_colour_error"] < 3
    assert MouthSync()(shown(short)).reason == "too short"


def test_channels_in_antiphase_are_not_silence(tmp_path: Path) -> None:
    tone = (8000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)
    soundfile.write(tmp_path / "out.wav", np.stack([tone, -tone], 1), 16_000)
    video = write_video(tmp_path / "v.mp4", flat(25), None)
    heard = hear(VideoInput(path=video, sample=SAMPLE, audio=tmp_path / "out.wav"), 16_000)
    assert np.array_equal(heard, tone)


def test_a_rate_of_nothing_or_of_a_thousand_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "fast.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(flat(25)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = 40 * index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert frame_rate(path) == pytest.approx(25, rel=0.02)
    assert length_s(path) == pytest.approx(1.0, abs=0.005)
