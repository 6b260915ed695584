"""AV-Align of videos as they are, with wrong sound of every kind, and by chance.

Onsets and peaks come from the rows of an evaluation, so no control needs to read the videos again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from bench.metrics.av_align import alignment, find_peaks
from bench.rows import Row
from bench.stats.bootstrap import Interval, bootstrap_mean, bootstrap_statistic
from bench.stats.paired import paired_test

PAPER: Final[Mapping[str, float]] = {
    "InfiniteTalk": 0.211,
    "StableAvatar": 0.250,
    "OmniAvatar": 0.225,
    "Sonic": 0.191,
}
"""AV of the paper's Tab. 2, over all 226 samples."""
SHIFTS_FRAMES: Final = tuple(shift for shift in range(-50, 51, 5) if shift)
"""At 25 frames a second: 0.2 to 2 s, early and late."""
NUM_CHANCE_DRAWS: Final = 300
THRESHOLDS_PX: Final = (0.0, 0.05, 0.1, 0.15)
"""Mean flow a frame from which a local maximum is a peak; the original's is 0.1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """Onsets and peaks of one video."""

    method: str
    sample: str
    onsets_s: Sequence[float]
    peaks_s: Sequence[float]
    num_frames: int
    fps: float

    @property
    def duration_s(self) -> float:
        """Of the picture."""
        return self.num_frames / self.fps

    def score(self, onsets_s: Sequence[float], peaks_s: Sequence[float] | None = None) -> float:
        """AV-Align of these onsets with the video's peaks, or with `peaks_s`."""
        return alignment(onsets_s, self.peaks_s if peaks_s is None else peaks_s, 1 / self.fps, reuse=False)

    def shifted(self, shift_frames: int) -> float:
        """AV-Align with the sound delayed; the sound wraps around at its ends."""
        late = (np.array(self.onsets_s) + shift_frames / self.fps) % self.duration_s
        return self.score(sorted(late.tolist()))

    def with_sound_of(self, other: Meeting) -> float:
        """AV-Align with another video's sound, repeated where it is shorter."""
        rounds = range(int(np.ceil(self.duration_s / other.duration_s)))
        onsets = [onset + turn * other.duration_s for turn in rounds for onset in other.onsets_s]
        return self.score([onset for onset in onsets if onset < self.duration_s])

    def by_chance(self, seed: int) -> float:
        """Expected score of the same number of peaks on random frames; like strict maxima, no two are neighbours."""
        rng, num = np.random.default_rng(seed), len(self.peaks_s)
        places = self.num_frames - 1 - num
        draws = []
        for _ in range(NUM_CHANCE_DRAWS):
            frames = np.sort(rng.choice(places, num, replace=False)) + 1 + np.arange(num)
            draws.append(self.score(self.onsets_s, (frames / self.fps).tolist()))
        return float(np.mean(draws))


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """A value of the same videos, as they are and made wrong."""

    real: float
    """Mean over videos."""
    wrong: float
    """Mean over videos."""
    change: Interval
    """Wrong − real; the interval is over samples, whose videos share sound and portrait."""
    lower: int
    """Videos that score lower when made wrong."""
    p_by_video: float
    """Paired sign-flip test over videos: too small where the changes of one sample's videos are correlated."""
    p_by_sample: float
    """The same over samples, each the mean of its videos."""
    num_videos: int
    num_samples: int


def meetings(rows: Iterable[Row]) -> list[Meeting]:
    """The meetings of AV-Align's rows that have a value and no control."""
    return [
        Meeting(
            method=row.method,
            sample=row.sample,
            onsets_s=row.detail["onsets_s"],
            peaks_s=row.detail["peaks_s"],
            num_frames=len(row.detail["motion"]),
            fps=row.detail["fps"],
        )
        for row in rows
        if row.metric == "av_align" and not row.control and row.reason is None
    ]


def threshold_means(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Method → threshold in pixels → mean AV-Align, from the motion in AV-Align's rows (kept to 0.001 pixels)."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.metric == "av_align" and not row.control and row.reason is None:
            fps, motion = row.detail["fps"], np.array(row.detail["motion"], np.float64)
            for threshold in THRESHOLDS_PX:
                peaks = find_peaks(motion, fps, threshold)
                score = alignment(row.detail["onsets_s"], peaks, 1 / fps, reuse=False)
                found.setdefault(row.method, {}).setdefault(f"{threshold:g}", []).append(score)
    return {
        method: {threshold: float(np.mean(scores)) for threshold, scores in by_threshold.items()}
        for method, by_threshold in found.items()
    }


def donors(meeting: Meeting, every: Sequence[Meeting]) -> list[Meeting]:
    """One video of every other sample, of the same method where it has one. They cover all derangements."""
    found: dict[str, Meeting] = {}
    for other in sorted(every, key=lambda one: (one.method != meeting.method, one.method)):
        if other.sample != meeting.sample:
            found.setdefault(other.sample, other)
    return list(found.values())


def wrong_scores(every: Sequence[Meeting]) -> dict[str, list[float]]:
    """`real`, and each video's mean over all other sounds, all shifts, and chance, in the order of `every`."""
    return {
        "real": [one.score(one.onsets_s) for one in every],
        "another's sound": [
            float(np.mean([one.with_sound_of(donor) for donor in donors(one, every)])) for one in every
        ],
        "shifted sound": [float(np.mean([one.shifted(shift) for shift in SHIFTS_FRAMES])) for one in every],
        "random peaks": [one.by_chance(index) for index, one in enumerate(every)],
    }


def method_means(every: Sequence[Meeting]) -> dict[str, dict[str, float]]:
    """Method → `real` and each kind of wrong sound → mean over its videos. It shows how much of a score is chance."""
    scores = wrong_scores(every)
    return {
        method: {
            kind: float(np.mean([value for value, one in zip(values, every, strict=True) if one.method == method]))
            for kind, values in scores.items()
        }
        for method in sorted({one.method for one in every})
    }


def effect(real: Sequence[float], wrong: Sequence[float], samples: Sequence[str]) -> Effect:
    """Compare two values of the same videos.

    Args:
        real: of each video.
        wrong: of each video.
        samples: which sample each video is of.
    """
    change = np.array(wrong, np.float64) - np.array(real, np.float64)
    by_sample = [change[[one == sample for one in samples]].mean() for sample in sorted(set(samples))]
    return Effect(
        real=float(np.mean(real)),
        wrong=float(np.mean(wrong)),
        change=bootstrap_mean(by_sample),
        lower=int((change < 0).sum()),
        p_by_video=paired_test(change),
        p_by_sample=paired_test(by_sample),
        num_videos=len(change),
        num_samples=len(by_sample),
    )


def common_samples(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Samples on which every method of `method → sample → value` has one."""
    return sorted(set.intersection(*(set(values) for values in scores.values()))) if scores else []


def common_means(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each method's mean over the samples that all have; empty where there is none."""
    common = common_samples(scores)
    return {method: float(np.mean([values[one] for one in common])) for method, values in scores.items() if common}


def order_agreement(scores: Mapping[str, Mapping[str, float]], reference: Mapping[str, float]) -> Interval | None:
    """Spearman's ρ of methods' means with a reference, with an interval from resampling samples.

    Args:
        scores: method → sample → value; only samples that every method has are used.
        reference: method → value.

    Returns:
        None with fewer than three common methods, or no common sample.
    """
    methods = sorted(set(scores) & set(reference))
    common = common_samples({method: scores[method] for method in methods})
    if len(methods) < 3 or not common:
        return None
    table = np.array([[scores[method][sample] for method in methods] for sample in common], np.float64)
    target = [reference[method] for method in methods]

    def agreement(rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> float | None:
        means = np.asarray(rows, np.float64).mean(axis=0)
        return float(spearmanr(means, target).statistic) if len(set(means)) > 1 else None

    return bootstrap_statistic(table, agreement)
