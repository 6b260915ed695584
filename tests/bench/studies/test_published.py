"""The study of published videos: its scores on known onsets and peaks, its command line on the tiny Soul-Bench."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.rows import Row
from bench.studies.published import compare_protocols, compare_with_original, main, read_original
from bench.studies.published_scores import (
    Meeting,
    donors,
    effect,
    method_means,
    order_agreement,
    threshold_means,
    wrong_scores,
)
from tests.worlds.bench_samples import BROKEN, OTHER, TALKING
from tests.worlds.evaluations import measure_cheaply


def meeting(method: str, sample: str, seed: int, *, follows: bool = True) -> Meeting:
    """Ten seconds; peaks on the onsets, or anywhere."""
    rng = np.random.default_rng(seed)
    onsets, others = (np.sort(rng.choice(218, 30, replace=False)) + 1 + np.arange(30) for _ in range(2))
    peaks = onsets if follows else others
    # Sound keeps to no frame; a quarter of one off, each onset is near two frames.
    heard, seen = (onsets / 25 + 0.01).tolist(), (peaks / 25).tolist()
    return Meeting(method=method, sample=sample, onsets_s=heard, peaks_s=seen, num_frames=250, fps=25.0)


def test_sound_that_is_moved_or_foreign_scores_as_chance() -> None:
    every = [meeting(method, sample, 10 * index) for method in "AB" for index, sample in enumerate("wxyz")]
    scores = wrong_scores(every)
    assert scores["real"] == [1.0] * 8
    chance = np.mean(scores["random peaks"])
    for control in ("another's sound", "shifted sound"):
        assert np.mean(scores[control]) == pytest.approx(chance, abs=0.05)
    found = effect(scores["real"], scores["another's sound"], [one.sample for one in every])
    assert (found.lower, found.num_videos, found.num_samples) == (8, 8, 4)
    assert found.p_by_video == pytest.approx(2 / 2**8)
    assert found.p_by_sample == pytest.approx(2 / 2**4)
    assert found.change.value == pytest.approx(found.wrong - found.real)


def test_peaks_that_follow_nothing_lose_nothing() -> None:
    every = [meeting("A", f"{index}", index, follows=False) for index in range(12)]
    scores = wrong_scores(every)
    assert effect(scores["real"], scores["shifted sound"], [one.sample for one in every]).p_by_video > 0.05
    assert np.mean(scores["real"]) == pytest.approx(np.mean(scores["random peaks"]), abs=0.04)


def test_a_whole_turn_changes_nothing_and_a_short_sound_is_repeated() -> None:
    one = meeting("A", "x", 0)
    assert one.shifted(250) == one.shifted(0) == 1.0
    short = Meeting(method="A", sample="y", onsets_s=[0.4], peaks_s=[], num_frames=50, fps=25.0)
    long = Meeting(method="A", sample="z", onsets_s=[], peaks_s=[0.4, 2.4, 4.4], num_frames=150, fps=25.0)
    assert long.with_sound_of(short) == 1.0


def test_the_chance_of_one_peak_is_that_of_hitting_an_onset() -> None:
    lone = Meeting(method="A", sample="x", onsets_s=[1.01], peaks_s=[1.0], num_frames=42, fps=25.0)
    # Of 40 inner frames two are nearer than a frame.
    assert lone.by_chance(0) == pytest.approx(2 / 40, abs=0.04)


def test_donors_are_every_other_sample_once_and_of_the_same_method_where_there_is_one() -> None:
    every = [
        meeting("A", "x", 0),
        meeting("A", "y", 1),
        meeting("B", "x", 2),
        meeting("B", "y", 3),
        meeting("B", "z", 4),
    ]
    assert [(one.method, one.sample) for one in donors(every[0], every)] == [("A", "y"), ("B", "z")]


def test_means_by_method_and_by_threshold() -> None:
    every = [meeting("A", "x", 0), meeting("A", "y", 1), meeting("B", "x", 2, follows=False)]
    means = method_means(every)
    assert means["A"]["real"] == 1.0
    assert means["B"]["real"] < 0.3
    motion = [0.0, 0.04, 0.0, 0.2, 0.0]
    detail = {"onsets_s": [0.04, 0.12], "peaks_s": [0.12], "motion": motion, "fps": 25.0}
    one = Row(
        method="A",
        sample="x",
        metric="av_align",
        protocol="p",
        video="v",
        inputs="",
        values={"av_align": 0.5},
        detail=detail,
    )
    assert threshold_means([one]) == {"A": {"0": 1.0, "0.05": 0.5, "0.1": 0.5, "0.15": 0.5}}


def test_orders_of_methods() -> None:
    reference = {"A": 1.0, "B": 2.0, "C": 3.0}
    samples = [f"{index}" for index in range(6)]
    scores = {method: {one: rank + 0.01 * int(one) for one in samples} for method, rank in reference.items()}
    same = order_agreement(scores, reference)
    assert same is not None
    assert (same.value, same.low, same.high, same.num) == (1.0, 1.0, 1.0, 6)
    turned = order_agreement(
        {method: {one: -v for one, v in values.items()} for method, values in scores.items()}, reference
    )
    assert turned is not None
    assert turned.value == -1.0
    assert order_agreement({"A": scores["A"], "B": scores["B"]}, reference) is None
    assert order_agreement({**scores, "C": {"other": 1.0}}, reference) is None
    means = compare_protocols({"standard": scores, "native": scores})
    assert means["orders"]["standard against native"]["value"] == 1.0


def test_differences_from_the_original_are_named(tmp_path: Path) -> None:
    path = tmp_path / "original.csv"
    path.write_text("method,sample,av_align\nA,x,0.25\nA,y,0.5\nB,x,0.1\n")
    original = read_original(path)
    found = compare_with_original({"A": {"x": 0.25, "y": 0.45, "z": 1.0}}, original)
    assert (found["num_videos"], found["num_equal"]) == (2, 1)
    assert found["different"] == {"A/y": {"ours": 0.45, "original": 0.5}}
    with pytest.raises(ValueError, match="no score of these videos"):
        compare_with_original({"C": {"x": 0.1}}, original)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not a CSV of method,sample,av_align"):
        read_original(path)


def test_the_study_runs_from_videos_to_figures(
    samples_dir: Path, videos_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_cheaply(monkeypatch)
    shown, original = tmp_path / "samples", tmp_path / "original.csv"
    shown.mkdir()
    for path in samples_dir.iterdir():
        if path.stem in {TALKING, OTHER, BROKEN}:
            shutil.copy(path, shown)
    original.write_text(f"method,sample,av_align\nours,{TALKING},0.2\n")
    common = ["--samples", str(shown), "--out", str(tmp_path), "--original", str(original)]
    assert main([*common, "--videos", f"ours={videos_dir}"]) == 0
    report = json.loads((tmp_path / "published.json").read_text())
    assert report["original"]["num_videos"] == 1
    assert report["videos"] == {"ours": [TALKING, OTHER]}
    assert report["frozen"]["frozen"]["real"][1] < 0.6 < report["frozen"]["frozen"]["frozen"][0]
    assert report["controls"]["mouth_agreement"]["shift+15"]["num_videos"] == 2
    left_out = report["wrong sound"]["mouth_agreement, speech left out of the fit"]["another's sound"]
    assert left_out["num_videos"] == 2
    assert {TALKING, OTHER} <= set(report["per video"]["native"]["ours"])
    assert (tmp_path / "published.png").stat().st_size > 10_000
    assert (tmp_path / "standard" / "report.html").is_file()
    assert main([*common, "--videos", "ours=nowhere"]) == 2
