from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from curation.clip.schema import Media, Pool, Shot, Source
from curation.media import Cut, check_sound, check_video, cut_clips, iter_raw_frames, probe
from curation.stages.export import Export, ExportConfig
from curation.stages.scenes import SceneDetection, ScenesConfig
from curation.stages.split import Split, SplitConfig
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.videos import write_video

TIMES = [index / 25 for index in range(25)]


@pytest.fixture
def mp4(tmp_path: Path) -> bytes:
    path = write_recording(tmp_path / "a.mp4", Recording(seconds=1.0, tracks=()))
    (video,) = cut_clips(str(path), [Cut(0.0, 1.0)])
    assert video is not None
    return video.mp4


def rule(mp4: bytes, times_s: list[float]) -> str | None:
    difference = check_video(mp4, times_s)
    return difference.rule if difference else None


def test_what_is_as_it_was_seen_passes(mp4: bytes) -> None:
    assert rule(mp4, TIMES) is None
    assert rule(mp4, [3.2 + time for time in TIMES]) is None


def test_every_difference_has_its_rule(mp4: bytes) -> None:
    assert rule(mp4, TIMES[:-1]) == "num_frames"
    assert rule(mp4, [*TIMES[:-1], 1.4]) == "frame_times"
    assert rule(mp4[: len(mp4) // 2], TIMES) == "undecodable"
    assert rule(b"", TIMES) == "undecodable"


def test_a_clip_without_a_picture_that_can_be_decoded_is_told(mp4: bytes) -> None:
    start, end = mp4.index(b"mdat") + 4, mp4.rindex(b"moov") - 4
    assert rule(mp4[:start] + bytes(end - start) + mp4[end:], TIMES) == "undecodable"


def test_an_untagged_clip_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size=(160, 128), seconds=1.0, tagged=False)
    assert rule(path.read_bytes(), TIMES) == "untagged"


def test_a_sound_has_the_samples_that_its_record_says() -> None:
    sink = io.BytesIO()
    soundfile.write(sink, np.zeros((800, 1), np.int16), 16_000, format="WAV", subtype="PCM_16")
    assert check_sound(sink.getvalue(), 800, 16_000) is None
    for difference in (
        check_sound(sink.getvalue(), 801, 16_000),
        check_sound(sink.getvalue(), 800, 48_000),
        check_sound(b"RIFF", 800, 16_000),
    ):
        assert difference is not None
        assert difference.rule == "num_samples"


def test_a_clip_that_differs_from_what_was_seen_is_rejected(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", Recording(seconds=4.4))
    source = Source(uri=str(path), media=Media(path=str(path), info=probe(str(path))), pool=Pool.GENERAL)
    source = replace(SceneDetection(ScenesConfig())(source), shots=(Shot(start_s=0.0, end_s=4.4),))
    source = Split(SplitConfig())(source)
    assert [clip.kept for clip in Export(ExportConfig())(source).clips] == [True]
    # The file is exchanged for one that lacks frames after it was looked at.
    times = [index / 25 for index in range(110) if index % 10]
    write_video(path, times_s=times, size=(160, 128), audio_seconds=4.4)
    assert len(list(iter_raw_frames(str(path)))) == 99
    (clip,) = Export(ExportConfig())(source).clips
    assert clip.rejection is not None
    assert (clip.rejection.stage, clip.rejection.rule) == ("export", "num_frames")
    assert (clip.rejection.value, clip.rejection.threshold) == (99.0, 110.0)
