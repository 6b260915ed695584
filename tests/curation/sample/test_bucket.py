"""The sample bucket is what its truth says: measured on the files, not on how they were made."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import numpy.typing as npt
import pytest

from curation.clip.schema import AudioType
from curation.media import MediaError, iter_frames, probe, read_audio, sample_frames
from curation.sample import SampleTruth, bucket, make_bucket, takes, video
from curation.sample.shot import film
from curation.sample.video import speech_of
from tests.worlds.sample_videos import LONG, TRUTH, each

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Sample = Callable[[str], Path]
READABLE = [name for name, truth in TRUTH.items() if truth.readable]
SHOWN_FACES = [name for name in READABLE if TRUTH[name].keep and TRUTH[name].num_people]
LAGS = range(-20, 21)
FACES_PER_S = 0.5


@cache
def _detector() -> dlib.fhog_object_detector:
    return dlib.get_frontal_face_detector()


def _faces(image: npt.NDArray[np.uint8], min_score: float = 0.3) -> list[tuple[int, int, int, int]]:
    boxes, scores, _ = _detector().run(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 1)
    return [
        (box.left(), box.top(), box.right(), box.bottom())
        for box, score in zip(boxes, scores, strict=True)
        if score >= min_score
    ]


def _envelope(path: Path, truth: SampleTruth) -> Floats:
    """Loudness per frame: root mean square of the sound while the frame is shown."""
    samples, rate = read_audio(str(path), 0.0, truth.duration_s)
    num_frames = round(truth.duration_s * truth.fps)
    edges = np.round(np.arange(num_frames + 1) * rate / truth.fps).astype(int)
    squares = samples[:, 0].astype(np.float64) ** 2
    return np.array([np.sqrt(squares[a:b].mean()) for a, b in itertools.pairwise(edges)])


@cache
def _darkness_of_mouth(path: Path) -> Floats:
    """Per frame, how much of the mouth's region is dark: the throat seen between the lips."""
    dark, mouth = [], None
    for frame in iter_frames(str(path)):
        if mouth is None:
            ((x0, y0, x1, y1),) = _faces(frame.image)
            width, height = x1 - x0, y1 - y0
            # The mouth's place in the HOG box, from the still portrait (box 175–265, mouth 204–245, 144–160).
            rows = slice(y0 + round(0.72 * height), y0 + round(0.98 * height))
            columns = slice(x0 + round(0.4 * width), x0 + round(0.68 * width))
            mouth = rows, columns
        dark.append(float((frame.image[mouth].max(axis=2) < 90).mean()))
    return np.array(dark)


def _best_lag(motion: Floats, sound: Floats) -> tuple[int, float]:
    """By how many frames the sound is later than the motion, and their correlation there."""
    inner = slice(len(LAGS) // 2, len(motion) - len(LAGS) // 2)
    scores = [float(np.corrcoef(motion[inner], np.roll(sound, -lag)[inner])[0, 1]) for lag in LAGS]
    best = int(np.argmax(scores))
    return LAGS[best], scores[best]


@pytest.mark.slow
def test_bucket_holds_exactly_the_listed_videos(short_samples: Path, long_samples: Path) -> None:
    made = [*short_samples.iterdir(), *long_samples.iterdir()]
    assert sorted(path.name for path in made) == sorted(TRUTH)
    assert sum(path.stat().st_size for path in made) < 30e6


def test_a_second_call_makes_only_what_is_missing(short_samples: Path, tmp_path: Path) -> None:
    for name in TRUTH:
        (tmp_path / name).symlink_to(short_samples / name)
    for name in LONG:
        (tmp_path / name).unlink()
        (tmp_path / name).touch()
    (tmp_path / "too_short.mp4").unlink()
    calls: list[tuple[int, int, str]] = []
    truths = make_bucket(tmp_path, progress=lambda done, total, name: calls.append((done, total, name)))
    assert calls == [(len(TRUTH), len(TRUTH), "too_short.mp4")]
    assert {path.name for path in tmp_path.iterdir()} == {truth.name for truth in truths} == set(TRUTH)
    again, before = (list(iter_frames(str(d / "too_short.mp4"))) for d in (tmp_path, short_samples))
    assert len(again) == len(before)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again, before, strict=True))


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bucket").write_text("")
    with pytest.raises(ValueError, match="not a directory"):
        make_bucket(tmp_path / "bucket")


@pytest.mark.parametrize("name", sorted(LONG))
def test_a_long_video_of_one_frame_a_take_has_its_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    sizes: set[tuple[int, ...]] = set()

    def first_frame(*arguments: Any, **options: Any) -> Iterator[Image]:
        return itertools.islice(film(*arguments, **options), 1)

    def see(_: Path, __: str, frames: Iterator[Image], **___: object) -> None:
        sizes.update(frame.shape for frame in frames)

    monkeypatch.setattr(takes, "film", first_frame)
    monkeypatch.setattr(video, "encode", see)
    (made,) = (each for each in bucket.VIDEOS if each.truth.name == name)
    made.make(tmp_path / name)
    assert TRUTH[name].size is not None
    assert sizes == {(*reversed(TRUTH[name].size or ()), 3)}


@pytest.mark.parametrize("name", each(READABLE))
def test_size_rate_length_and_tracks(sample: Sample, name: str) -> None:
    path, truth = str(sample(name)), TRUTH[name]
    info = probe(path)
    assert (info.width, info.height) == truth.size
    assert info.fps == pytest.approx(truth.fps, abs=0.01)
    times = [frame.time_s for frame in iter_frames(path, short_edge=64)]
    assert len(times) == round(truth.duration_s * truth.fps)
    assert times[-1] == pytest.approx(truth.duration_s - 1 / truth.fps, abs=2e-3)
    silent = truth.audio_reason == "sync/no_audio_stream" or truth.name == "scenery.webm"
    assert (info.audio_codec is None) == silent


@pytest.mark.parametrize("truth", [t for t in TRUTH.values() if not t.readable], ids=lambda truth: truth.name)
def test_broken_files_are_unreadable_for_the_stated_reason(sample: Sample, truth: SampleTruth) -> None:
    with pytest.raises(MediaError) as caught:
        probe(str(sample(truth.name)))
    assert caught.value.rule in truth.reject_rules


@pytest.mark.slow
def test_cuts_stand_out_of_the_frame_differences(sample: Sample) -> None:
    truth = TRUTH["cut_montage.mp4"]
    frames = list(iter_frames(str(sample(truth.name)), short_edge=120))
    images = np.stack([frame.image for frame in frames]).astype(np.float32)
    change = np.abs(np.diff(images, axis=0)).mean(axis=(1, 2, 3))
    largest = np.argsort(change)[::-1][: len(truth.cuts_s)]
    assert sorted(frames[index + 1].time_s for index in largest) == pytest.approx(truth.cuts_s, abs=2e-3)
    assert change[largest].min() > 5 * np.delete(change, largest).max()


# That the pipeline finds the face and keeps the sound of `rotated.mp4` shows the same.
@pytest.mark.parametrize("name", each(SHOWN_FACES, slow=LONG | {"rotated.mp4"}))
def test_faces_are_found_where_people_are(sample: Sample, name: str) -> None:
    truth = TRUTH[name]
    found: list[int] = []
    absent: list[int] = []
    for frame in sample_frames(str(sample(truth.name)), 0.0, truth.duration_s, fps=FACES_PER_S, short_edge=480):
        empty = any(start <= frame.time_s < end for start, end in truth.rejected_spans_s)
        (absent if empty else found).append(len(_faces(frame.image)))
    assert np.mean(np.array(found) == truth.num_people) >= 0.9
    assert not any(absent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["talking_portrait.mp4", "anamorphic.mp4", "rotated.mp4"])
def test_the_mouth_opens_with_the_sound(sample: Sample, name: str) -> None:
    lag, correlation = _best_lag(_darkness_of_mouth(sample(name)), _envelope(sample(name), TRUTH[name]))
    assert abs(lag) <= 1
    assert correlation > 0.6


@pytest.mark.slow
def test_the_shifted_sound_is_late_by_the_stated_time(sample: Sample) -> None:
    truth = TRUTH["shifted_audio.mp4"]
    path = sample(truth.name)
    lag, correlation = _best_lag(_darkness_of_mouth(path), _envelope(path, truth))
    assert lag == pytest.approx(truth.audio_lag_s * truth.fps, abs=1)
    assert correlation > 0.6


@pytest.mark.slow
def test_lips_on_screen_follow_the_known_opening(sample: Sample) -> None:
    truth = TRUTH["shifted_audio.mp4"]
    seen = _darkness_of_mouth(sample(truth.name))
    speech = speech_of(truth)
    known = np.array([speech.mouth(i / truth.fps + truth.audio_lag_s)[0] for i in range(len(seen))])
    assert np.corrcoef(seen, known)[0, 1] > 0.8


def test_silent_track_is_silent_and_its_mouth_shut(sample: Sample) -> None:
    truth = TRUTH["silent.mp4"]
    assert truth.audio_type is AudioType.NONE
    assert _envelope(sample(truth.name), truth).max() < 2
    assert np.ptp(_darkness_of_mouth(sample(truth.name))) < 0.05


def test_frozen_video_does_not_move(sample: Sample) -> None:
    still = [frame.image.astype(int) for frame in iter_frames(str(sample("frozen.mp4")), short_edge=240)]
    assert max(np.abs(image - still[0]).mean() for image in still) < 1.5


@pytest.mark.slow
def test_the_logo_stays(sample: Sample) -> None:
    panned = list(sample_frames(str(sample("corner_logo.mp4")), 0.0, 4.0, fps=2, short_edge=360))
    spread = np.stack([frame.image for frame in panned]).astype(float).std(axis=0).mean(axis=2)
    logo = spread[24:42, 540:620]
    assert logo.mean() < 3 < spread.mean()
