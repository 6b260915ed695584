from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.defects.combing import combed_share
from curation.backends.picture.colour_edges import ColourEdges
from curation.backends.picture.cut_checker import CutWindow
from curation.clip.observations import Keyframe
from curation.clip.schema import Decision, Failure, Media, Shot, Source
from curation.media import Cut, cut_clips, probe
from curation.stages.scenes import SceneDetection, ScenesConfig
from tests.worlds.portrait import astronaut
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.synthetic_run import media
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
    describe = ColourEdges().describe
    face, other = pictures
    same = 1 - float(describe(face) @ describe(np.roll(face, 8, axis=1)))
    different = 1 - float(describe(face) @ describe(other))
    assert same < 0.05
    assert different > 0.2
    assert np.linalg.norm(describe(face)) == pytest.approx(1, abs=1e-5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A frame of one brightness, as the decoder would give it."""

    time_s: float
    grey: int = 100
    damaged: bool = False
    rows: Picture = field(default_factory=lambda: np.zeros((40, 40), np.uint8))

    def luma(self) -> Picture:
        return self.rows

    def image(self, short_edge: int) -> Picture:
        """A picture whose size tells what was asked for; its left half is black."""
        image = np.full((short_edge // 12, short_edge // 6, 3), self.grey, np.uint8)
        image[:, : short_edge // 12] = 0
        return image


@dataclass(slots=True)
class Told:
    """Finds every cut a distance of one half; keeps the brightness of the outermost frames that it was shown."""

    shown: list[int] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    """Cuts that it was asked about at a time."""
    reach_frames: int = 3

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        self.together.append(len(windows))
        for window in windows:
            assert {frame.shape for frame in window.frames} == {(12, 24, 3)}
            assert abs(int(window.frames[window.cut].max()) - int(window.frames[window.cut - 1].max())) > 90
            self.shown += [int(window.frames[0].max()), int(window.frames[-1].max())]
        return [0.5] * len(windows)


FILE = media(640, 480, 0.0)


class Files:
    """One file, told instead of read: its frames, when they are shown, and where it ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.told = Told()

    def scanned(
        self,
        frames: Sequence[Shown],
        *,
        config: ScenesConfig | None = None,
        span_s: tuple[float, float] = (0.0, float("inf")),
        duration_s: float = 0.0,
        fps: float = 25.0,
        file_end_s: float = 0.0,
        times_s: Sequence[float] = (),
    ) -> tuple[Source, Source]:
        """The source before and after."""

        def decoded(path: str, start_s: float, end_s: float) -> Iterator[Shown]:
            assert (path, start_s, end_s) == ("a.mp4", *span_s)
            return iter(frames)

        told: dict[str, Any] = {
            "iter_raw_frames": decoded,
            "file_end_s": {"a.mp4": file_end_s}.__getitem__,
            "frame_times": {"a.mp4": list(times_s)}.__getitem__,
        }
        for name, answer in told.items():
            self.monkeypatch.setattr(f"curation.stages.scenes.{name}", answer)
        file = replace(FILE, path="a.mp4", info=replace(FILE.info, fps=fps, duration_s=duration_s))
        source = Source(uri="/in/a.mp4", media=file, segment_start_s=span_s[0], segment_end_s=span_s[1])
        stage = SceneDetection(config or ScenesConfig())
        stage.checker = self.told
        return source, stage(source)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(monkeypatch)


def at(*times_s: float) -> list[Shown]:
    return [Shown(time_s=time_s) for time_s in times_s]


UNDECODABLE = Failure(stage="scenes", rule="undecodable", detail="no frame could be decoded")
EMPTY = Decision(stage="scenes", rule="empty", value=0.0, threshold=1.0)


@pytest.mark.parametrize(
    ("times_s", "file_end_s", "duration_s", "failure"),
    [
        ([5.0], 30.0, 30.0, UNDECODABLE),
        ([9.9], 30.0, 30.0, UNDECODABLE),
        ([4.9, 10.0], 30.0, 30.0, None),
        ([1.0], 5.0, 30.0, Failure(stage="scenes", rule="truncated", detail="ends at 5.00 s of 30.00 s")),
        ([1.0], 5.1, 30.0, None),
        ([1.0], 4.0, 5.0, None),
    ],
)
def test_a_part_without_frames_is_damaged_missing_or_a_pause(
    files: Files, times_s: list[float], file_end_s: float, duration_s: float, failure: Failure | None
) -> None:
    source, result = files.scanned(
        [], span_s=(5.0, 10.0), times_s=times_s, file_end_s=file_end_s, duration_s=duration_s
    )
    assert result == (replace(source, failure=failure) if failure else replace(source, rejection=EMPTY))


def test_damaged_frames_are_counted(files: Files) -> None:
    frames = [Shown(time_s=index / 25, damaged=index in {1, 4, 5}) for index in range(10)]
    source, result = files.scanned(frames, config=ScenesConfig(max_damaged_frames=2))
    failure = Failure(stage="scenes", rule="damaged_frames", detail="3 of 10 frames")
    assert result == replace(source, failure=failure)
    assert files.scanned(frames, config=ScenesConfig(max_damaged_frames=3))[1].failure is None
    assert files.scanned(frames[:2])[1].failure == replace(failure, detail="1 of 2 frames")


def test_what_is_combed_on_more_of_its_keyframes_than_allowed_is_rejected(files: Files) -> None:
    combed = np.zeros((40, 40), np.uint8)
    combed[::2] = 200
    frames = [Shown(time_s=0.0, rows=combed), *at(0.25), Shown(time_s=0.5)]
    share = combed_share(combed) / 2
    assert share > 0.1
    source, result = files.scanned(frames, config=ScenesConfig(max_combed_share=share - 0.01))
    rejection = Decision(stage="scenes", rule="combed", value=share, threshold=share - 0.01)
    scored = source.with_scores(scenes_combed_share=share)
    assert result == replace(scored, rejection=rejection, keyframes=result.keyframes)
    assert [keyframe.time_s for keyframe in result.keyframes] == [0.0, 0.5]
    assert files.scanned(frames, config=ScenesConfig(max_combed_share=share))[1].active


@pytest.mark.parametrize(
    ("span_s", "times_s", "file_end_s", "detail"),
    [
        ((0.0, np.inf), [*range(9)], 0.0, None),
        ((0.0, np.inf), [*range(8)], 8.5, "ends at 8.00 s of 10.00 s"),
        ((0.0, np.inf), [*range(8)], 9.0, None),
        ((2.0, np.inf), [*range(2, 8)], 8.5, "ends at 8.00 s of 10.00 s"),
        ((2.0, 7.0), [2, 3, 4, 5], 6.0, "ends at 6.00 s of 7.00 s"),
        ((2.0, 7.0), [2, 3, 4, 5, 6], 0.0, None),
    ],
)
def test_a_tenth_of_the_claimed_length_may_be_missing(
    files: Files, span_s: tuple[float, float], times_s: list[float], file_end_s: float, detail: str | None
) -> None:
    _, result = files.scanned(at(*times_s), span_s=span_s, duration_s=10.0, fps=1.0, file_end_s=file_end_s)
    if detail is None:
        assert result.shots == (Shot(start_s=times_s[0], end_s=times_s[-1] + 1),)
    else:
        assert result.failure == Failure(stage="scenes", rule="truncated", detail=detail)


def test_the_last_frame_lasts_as_long_as_most_do_but_not_beyond_the_part(files: Files) -> None:
    assert files.scanned(at(0.0, 0.125, 0.25, 1.0))[1].shots == (Shot(start_s=0.0, end_s=1.125),)
    within = files.scanned(at(0.0, 0.125, 0.25), span_s=(0.0, 0.3125))[1]
    assert within.shots == (Shot(start_s=0.0, end_s=0.3125),)
    assert files.scanned(at(3.0), fps=8.0)[1].shots == (Shot(start_s=3.0, end_s=3.125),)
    assert files.scanned(at(0.0), fps=0.0)[1].shots == (Shot(start_s=0.0, end_s=0.04),)


@pytest.mark.parametrize(
    ("times_s", "kept"),
    [
        ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.5, 1.0]),
        ([0.0, 0.4, 0.625, 1.0, 1.25, 1.5], [0.0, 0.625, 1.0, 1.5]),  # one late frame does not shift the grid
        ([0.0, 1.0, 1.25, 1.5], [0.0, 1.0, 1.5]),  # after a gap of a whole period it starts anew
        ([0.0, 2.0, 2.25, 2.5], [0.0, 2.0, 2.5]),
        ([7.25, 7.5, 7.75], [7.25, 7.75]),
    ],
)
def test_keyframes_lie_on_a_grid(files: Files, times_s: list[float], kept: list[float]) -> None:
    assert [keyframe.time_s for keyframe in files.scanned(at(*times_s))[1].keyframes] == kept


@pytest.mark.parametrize(("short_edge", "quality"), [(480, 90), (240, 50)])
def test_a_keyframe_is_a_picture_of_the_size_and_quality_asked_for(files: Files, short_edge: int, quality: int) -> None:
    config = ScenesConfig(keyframe_short_edge_px=short_edge, jpeg_quality=quality)
    frame = Shown(time_s=0.5, grey=77)
    _, jpeg = cv2.imencode(".jpg", frame.image(short_edge), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert files.scanned([frame], config=config)[1].keyframes == (Keyframe(time_s=0.5, jpeg=jpeg.tobytes()),)


def test_every_frame_is_measured(files: Files) -> None:
    frames = [Shown(time_s=index / 8, grey=grey) for index, grey in enumerate((100, 120, 110))]
    stats = files.scanned(frames)[1].stats
    assert stats is not None
    # Half of each picture is black.
    assert stats.times_s.tolist() == [0.0, 0.125, 0.25]
    assert stats.luma_mean.tolist() == [50.0, 60.0, 55.0]
    assert stats.luma_std.tolist() == [50.0, 60.0, 55.0]
    assert stats.change.tolist() == [0.0, 10.0, 5.0]
    assert {column.dtype for column in (stats.luma_mean, stats.luma_std, stats.change)} == {np.dtype(np.float32)}


def brightening(num_frames: int, *cuts: int) -> list[Shown]:
    """Frames whose brightness is their number, or 100 more in every other shot."""
    return [
        Shown(time_s=index / 25, grey=index + 100 * (sum(cut <= index for cut in cuts) % 2))
        for index in range(num_frames)
    ]


@pytest.mark.parametrize(
    ("num_frames", "cuts", "gap", "compared"),
    [
        (40, [20], 3, [17, 122]),
        (40, [20], 5, [15, 124]),
        (23, [20], 5, [15, 122]),  # there are only three frames after the cut
        (40, [4], 5, [0, 108]),  # there are only four frames before it
        (40, [20, 26], 10, [10, 29, 16, 35]),  # the second cut is found before the first is checked
        (30, [20, 26], 10, [10, 29, 16, 29]),
    ],
)
def test_a_cut_is_checked_some_frames_to_either_side(
    files: Files, num_frames: int, cuts: list[int], gap: int, compared: list[int]
) -> None:
    files.told.reach_frames = gap
    _, result = files.scanned(brightening(num_frames, *cuts), config=ScenesConfig(min_shot_frames=1))
    assert files.told.shown == compared
    edges = [0.0, *(cut / 25 for cut in cuts), num_frames / 25]
    assert [shot.start_s for shot in result.shots] == edges[:-1]
    assert [shot.end_s for shot in result.shots] == pytest.approx(edges[1:])


@pytest.mark.parametrize(
    ("settings", "num_shots"),
    [
        ({}, 2),
        ({"min_cut_distance": 0.5}, 2),
        ({"min_cut_distance": 0.51}, 1),
        # Half of the picture brightens by 101 levels at the cut, and by 1 between other frames.
        ({"min_content_value": 16.0}, 2),
        ({"min_content_value": 18.0}, 1),
        ({"adaptive_threshold": 100.0}, 2),
        ({"adaptive_threshold": 102.0}, 1),
        ({"min_shot_frames": 6}, 3),
    ],
)
def test_what_counts_as_a_cut_is_the_configuration_s(files: Files, settings: dict[str, float], num_shots: int) -> None:
    frames = brightening(40, 20, 26) if "min_shot_frames" in settings else brightening(40, 20)
    result = files.scanned(frames, config=ScenesConfig(**settings))[1]  # type: ignore[arg-type]
    assert len(result.shots) == num_shots


def test_a_shot_has_at_least_fifteen_frames(files: Files) -> None:
    assert [shot.start_s for shot in files.scanned(brightening(60, 15, 29))[1].shots] == [0.0, 0.6]
    assert [shot.start_s for shot in files.scanned(brightening(60, 15, 30))[1].shots] == [0.0, 0.6, 1.2]
    assert [shot.start_s for shot in files.scanned(brightening(60, 14))[1].shots] == [0.0]
