from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.evaluation import controls
from bench.metrics.metric import NoValueError, VideoInput
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.metrics.video_sound import hear
from bench.samples.samples import Sample, read_samples
from curation.media import frame_times, sample_frames
from tests.worlds.bench_samples import FACELESS, OTHER, SILENT, TALKING


def sample(number: int, *, audio: bool = True, image: bool = True) -> Sample:
    id_ = f"{number:04d}_human_talk_en_male"
    return Sample(
        id=id_, prompt="", audio=Path(f"{id_}.wav") if audio else None, image=Path(f"{id_}.png") if image else None
    )


@pytest.mark.parametrize("control", ["shuffled-audio", "other-identity"])
def test_everyone_is_given_somebody_elses(control: str) -> None:
    samples = {s.id: s for s in (sample(number, audio=number % 3 > 0, image=number % 4 > 0) for number in range(20))}
    given = controls.donors(samples, control)
    assert given.keys() == samples.keys()
    assert all(donor.id != id_ for id_, donor in given.items())
    assert all((donor.audio if control == "shuffled-audio" else donor.image) is not None for donor in given.values())
    holders = [id_ for id_, s in samples.items() if (s.audio if control == "shuffled-audio" else s.image) is not None]
    assert sorted(given[id_].id for id_ in holders) == sorted(holders), "a permutation of those that have one"
    assert controls.donors(dict(reversed(samples.items())), control) == given


def test_a_shuffle_needs_two() -> None:
    samples = {s.id: s for s in (sample(1), sample(2, audio=False))}
    with pytest.raises(ValueError, match="needs at least two samples with a wav"):
        controls.donors(samples, "shuffled-audio")
    assert controls.donors(samples, "shift+5") == {}


def test_names() -> None:
    assert controls.check(["all"]) == controls.CONTROLS
    assert controls.check(["frozen", "frozen"]) == ("frozen",)
    with pytest.raises(ValueError, match="unknown control 'shift'; there are shuffled-audio"):
        controls.check(["shift"])


def test_controls_run_where_they_change_something() -> None:
    metrics = {metric.name: metric for metric in build_metrics(list(METRICS), MetricsConfig())}
    touched = {
        control: {name for name, metric in metrics.items() if controls.touches(control, metric)}
        for control in controls.CONTROLS
    }
    assert touched["shift+5"] == touched["shuffled-audio"] == {"syncnet", "av_align", "mouth_sync"}
    assert touched["other-identity"] == {"identity", "identity_colour"}
    assert touched["frozen"] == set(metrics)


def test_a_shift_is_exact_and_loses_nothing(videos_dir: Path, tmp_path: Path) -> None:
    video = VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=sample(1))
    own = hear(video, controls.RATE_HZ)
    late = controls.make("shift+5", video, None, tmp_path)
    assert np.array_equal(hear(late, controls.RATE_HZ), np.roll(own, 5 * 882))
    early = controls.make("shift-15", video, None, tmp_path)
    assert np.array_equal(hear(early, controls.RATE_HZ), np.roll(own, -15 * 882))
    assert late.path == video.path


def test_a_shuffled_sound_lasts_as_long_as_the_video(videos_dir: Path, samples_dir: Path, tmp_path: Path) -> None:
    donor = read_samples(samples_dir)[OTHER]
    video = VideoInput(path=videos_dir / f"{FACELESS}.mp4", sample=sample(1))
    shuffled = controls.make("shuffled-audio", video, donor, tmp_path)
    written, rate = soundfile.read(str(shuffled.audio), dtype="int16")
    assert len(written) == len(hear(video, rate)) == 2 * rate
    whole = hear(VideoInput(path=video.path, sample=donor, audio=donor.audio), rate)
    assert np.array_equal(written, whole)


def test_a_frozen_video_shows_its_first_frame_and_keeps_its_sound(videos_dir: Path, tmp_path: Path) -> None:
    video = VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=sample(1))
    frozen = controls.make("frozen", video, None, tmp_path)
    assert len(frame_times(str(frozen.path))) == len(frame_times(str(video.path)))
    first = next(iter(sample_frames(str(video.path), 0, 0.1, fps=25))).image.astype(int)
    for frame in sample_frames(str(frozen.path), 0, 4, fps=1):
        assert np.abs(frame.image.astype(int) - first).mean() < 4
    assert np.array_equal(hear(frozen, 22_050), hear(video, 22_050))


def test_silence_cannot_be_shifted_but_can_be_frozen(videos_dir: Path, tmp_path: Path) -> None:
    silent = VideoInput(path=videos_dir / f"{SILENT}.mp4", sample=sample(1))
    with pytest.raises(NoValueError, match="silent"):
        controls.make("shift+5", silent, None, tmp_path)
    assert controls.make("frozen", silent, None, tmp_path).audio is None
