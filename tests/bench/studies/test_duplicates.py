"""The study of duplicates: what it holds for the truth, and how it chooses a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from bench.studies.duplicates import choose, measure, perceptual_hash, truth_of
from tests.curation.clip.test_fingerprint import keyframes
from tests.worlds.recorded_clips import scene


def row(video: str, kind: str, start_s: float) -> dict[str, object]:
    return {"source": f"/in/{video}--{kind}.mkv", "start_s": start_s, "end_s": start_s + 4.5}


ROWS = [
    row("a", "original", 0.0),
    row("a", "original", 4.5),
    row("a", "shift_1_s", 0.0),
    row("a", "mirrored", 0.0),
    row("b", "original", 0.0),
    row("a", "360p", 2.5),
]


def test_the_truth_is_told_from_times_in_the_footage() -> None:
    truth = truth_of(ROWS)
    assert np.argwhere(truth.is_same).tolist() == [[0, 2]]
    other = {(int(one), int(two)) for one, two in np.argwhere(np.triu(truth.is_other, 1))}
    assert other == {(0, 3), (1, 3), (2, 3), (3, 5), (0, 4), (1, 4), (2, 4), (3, 4), (4, 5)}


def test_clips_of_one_file_and_half_overlaps_are_not_counted() -> None:
    truth = truth_of(ROWS)
    for pair in ((0, 1), (0, 5), (1, 2)):
        assert not truth.is_same[pair]
        assert not truth.is_other[pair]


def test_the_threshold_is_the_largest_with_99_percent_right() -> None:
    same, other = np.linspace(0.0, 0.5, 150), np.array([0.4, 0.6, 0.61, 0.62])
    assert choose(same, other) == 0.5
    assert choose(same, np.full(50, 0.3)) < 0.3
    assert choose(np.array([0.5]), np.array([0.1])) == -1.0


def test_recall_is_counted_by_kind_on_the_other_half() -> None:
    rows = [row(video, kind, 0.0) for video in "abcd" for kind in ("original", "360p", "mirrored")]
    truth = truth_of(rows)
    distances = np.where(truth.is_same | truth.is_same.T, 0.1, 0.9)
    told = measure(distances, truth)
    assert (told["threshold"], told["precision"], told["pairs_found"]) == (pytest.approx(0.1), 1.0, 2)
    assert told["recall"]["360p"] == {"found": 2, "of": 2}  # type: ignore[index]
    assert told["found_wrongly"]["mirrored"]["found"] == 0  # type: ignore[index]


def test_a_hash_is_of_64_bits_and_outlasts_scaling() -> None:
    (whole,), (small,), (other,) = keyframes(scene(1)), keyframes(scene(1)[::2, ::2]), keyframes(scene(2))
    own = perceptual_hash(whole.jpeg)
    assert own.shape == (64,)
    assert (own != perceptual_hash(small.jpeg)).sum() <= 6
    assert (own != perceptual_hash(other.jpeg)).sum() > 15
