from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.registry import FRAME_DESCRIPTORS
from curation.clip.schema import Media, Source
from curation.media import Cut, cut_clips, probe
from curation.stages.scenes import SceneDetection, ScenesConfig
from tests.worlds.portrait import astronaut
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.videos import write_video

FPS = 25
Picture = npt.NDArray[np.uint8]


def montage(path: Path, shots: list[tuple[Picture, int]], flash: int | None = None) -> Source:
    """Shots as (picture, frames), each panning slowly; frame `flash`, if given, is white."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        index = 0
        for image, length in shots:
            for step in range(length):
                view = np.roll(image, step, axis=1) if index != flash else np.full_like(image, 255)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="bgr24")))
                index += 1
        output.mux(stream.encode(None))
    return Source(uri=str(path), media=Media(path=str(path), info=probe(str(path))))


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    face = astronaut(512)
    other = np.ascontiguousarray(cv2.cvtColor(face, cv2.COLOR_BGR2HSV)[::-1])
    return [face, other]


def test_cuts_keyframes_and_statistics(tmp_path: Path, pictures: list[Picture]) -> None:
    source = montage(tmp_path / "a.mp4", [(pictures[0], 40), (pictures[1], 30), (pictures[0], 35)])
    result = SceneDetection(ScenesConfig())(source)
    starts = [shot.start_s for shot in result.shots]
    assert starts == pytest.approx([0.0, 40 / FPS, 70 / FPS])
    assert result.shots[-1].end_s == pytest.approx(105 / FPS)
    assert [frame.time_s for frame in result.keyframes] == pytest.approx(np.arange(0, 4.2, 0.5), abs=0.03)
    assert min(result.keyframes[0].image().shape[:2]) == 480
    assert result.stats is not None
    assert len(result.stats.times_s) == 105
    assert result.stats.change[40] > 5 * np.median(result.stats.change)


def test_a_flash_is_no_cut(tmp_path: Path, pictures: list[Picture]) -> None:
    source = montage(tmp_path / "a.mp4", [(pictures[0], 80)], flash=40)
    assert len(SceneDetection(ScenesConfig())(source).shots) == 1


def test_a_segment_is_only_its_part(tmp_path: Path, pictures: list[Picture]) -> None:
    source = montage(tmp_path / "a.mp4", [(pictures[0], 40), (pictures[1], 40)])
    result = SceneDetection(ScenesConfig())(replace(source, segment=1, segment_start_s=1.0, segment_end_s=2.0))
    assert [(round(shot.start_s, 2), round(shot.end_s, 2)) for shot in result.shots] == [(1.0, 1.6), (1.6, 2.0)]


def test_a_file_that_breaks_off_is_truncated(tmp_path: Path, pictures: list[Picture]) -> None:
    source = montage(tmp_path / "a.mp4", [(pictures[0], 50)])
    assert source.media is not None
    longer = replace(source.media, info=replace(source.media.info, duration_s=4.0))
    result = SceneDetection(ScenesConfig())(replace(source, media=longer))
    assert result.failure is not None
    assert result.failure.rule == "truncated"


def detected(path: Path, start_s: float, end_s: float) -> Source:
    source = Source(uri=str(path), segment=1, segment_start_s=start_s, segment_end_s=end_s)
    return SceneDetection(ScenesConfig())(replace(source, media=Media(path=str(path), info=probe(str(path)))))


def test_a_part_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    # Of 24 pictures a second Matroska rounds the times: most are 42 ms apart, some 41.
    path = write_video(tmp_path / "a.mkv", size=(160, 128), times_s=[round(index / 24, 3) for index in range(96)])
    for begin in (0.0, 1.3, 2.6):
        result = detected(path, begin, begin + 1.3)
        end_s = result.shots[-1].end_s
        assert end_s <= begin + 1.3
        (video,) = cut_clips(str(path), [Cut(result.shots[0].start_s, end_s)])
        assert video is not None
        assert result.stats is not None
        assert video.num_frames == len(result.stats.times_s)


def test_a_pause_is_no_damage(tmp_path: Path) -> None:
    frames = [index / 25 for index in range(60)]
    path = write_video(tmp_path / "a.mkv", size=(160, 128), times_s=[*frames, *(time_s + 20 for time_s in frames)])
    assert detected(path, 0.0, 5.0).shots[-1].end_s == pytest.approx(2.4, abs=0.01)
    within = detected(path, 5.0, 10.0)
    assert within.failure is None
    assert within.rejection is not None
    assert within.rejection.rule == "empty"
    assert detected(path, 15.0, np.inf).failure is None


def test_sound_may_outlast_the_picture(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", Recording(left_out=lambda index: index >= 60))
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"LASTINGS"))
    result = detected(path, 0.0, np.inf)
    assert result.failure is None
    assert result.shots[-1].end_s == pytest.approx(2.4, abs=0.01)


def test_what_lies_behind_the_end_of_a_file_that_breaks_off_is_missing(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", Recording(gop=12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = detected(path, 3.6, np.inf)
    assert result.failure is not None
    assert result.failure.rule == "truncated"


def test_descriptor_tells_scenes_apart(pictures: list[Picture]) -> None:
    describe = FRAME_DESCRIPTORS.build("colour_edges").describe
    face, other = pictures
    same = 1 - float(describe(face) @ describe(np.roll(face, 8, axis=1)))
    different = 1 - float(describe(face) @ describe(other))
    assert same < 0.05
    assert different > 0.2
    assert np.linalg.norm(describe(face)) == pytest.approx(1, abs=1e-5)
