"""The drift study: its statistics on known drift, its command line on an untrained model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.studies.drift import frames_of_clips, main
from bench.studies.drift_scores import ClipStatistics, clip_statistics, compare, drift_of, verdict
from bench.studies.generation import load_pipeline
from model.generation.clips import GeneratedClip
from model.generation.codebook import Codebook
from model.generation.timeline import plan_clips
from tests.bench.studies.shape import committed, shape

STILL = ClipStatistics(
    lab_mean=(50.0, 0.0, 0.0),
    lab_std=(10.0, 5.0, 5.0),
    sharpness=0.01,
    latent_norm=7.0,
    codebook_distance=0.5,
    beyond=0.01,
)


def drifting(rate: float) -> list[ClipStatistics]:
    """Eight clips that grow brighter by `rate` and lose sharpness."""
    return [
        dataclasses.replace(STILL, lab_mean=(50.0 + rate * at, 0.0, 0.0), sharpness=0.01 * np.exp(-0.1 * rate * at))
        for at in range(8)
    ]


def test_drift_is_the_distance_of_the_last_quarter() -> None:
    drift = drift_of(drifting(2.0))
    assert drift.colour == pytest.approx(2.0 * 6.5)
    assert drift.detail == pytest.approx(0.2 * 6.5)
    assert drift.contrast == 0
    assert drift.latents == 0
    with pytest.raises(ValueError, match="two clips"):
        drift_of([STILL])


def test_the_verdict_follows_from_the_numbers() -> None:
    rates = np.random.default_rng(0).uniform(1, 2, 8)
    videos = {
        "none": [drifting(rate) for rate in rates],
        "99 %": [drifting(rate / 2) for rate in rates],
        "50 %": [drifting(rate * 2) for rate in rates],
        "0 %": [drifting(rate * (1.1 if at % 2 else 0.9)) for at, rate in enumerate(rates)],
    }
    none, halved, doubled, unsure = compare(videos, "none")
    assert none.reduction is None
    assert "reduces drift of colour by 50%" in verdict(halved, none)
    assert "increases drift of colour by 100%" in verdict(doubled, none)
    assert "does not measurably change drift of colour" in verdict(unsure, none)
    assert "does not measurably change drift of contrast" in verdict(halved, none)


def test_statistics_of_a_clip_leave_out_what_was_there_before() -> None:
    first, second = plan_clips(41, clip_latents=7, overlap_latents=2)
    codebook = Codebook(
        centroids=torch.zeros(1, 48),
        counts=torch.ones(1, dtype=torch.long),
        distance_quantiles=torch.linspace(0, 1, 101),
    )
    latents = torch.zeros(1, 48, 7, 6, 6)
    latents[:, 0, :3] = 100.0
    latents[:, 0, 3:] = 2.0
    frames = np.full((16, 96, 96, 3), 255, np.uint8)
    later = clip_statistics(GeneratedClip(plan=second, frames=frames, latents=latents), codebook)
    assert later.latent_norm == pytest.approx(2.0)
    assert later.beyond == 1.0
    assert later.codebook_distance == pytest.approx(2.0 / 0.99)
    assert later.lab_mean == pytest.approx((100, 0, 0), abs=0.1)
    assert later.sharpness == 0
    # Of the first clip only the pivot is given: latents 1 and 2 are its own.
    earlier = clip_statistics(GeneratedClip(plan=first, frames=frames, latents=latents), codebook)
    assert earlier.latent_norm == pytest.approx((2 * 100 + 4 * 2) / 6)


def test_the_command_line_compares_and_writes_figures(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--clips", "2", "--people", "2", "--percentiles", "none", "99", "--threads", "1", "--out", str(tmp_path)]
    assert main(["--model", str(untrained), *options]) == 0
    report = json.loads((tmp_path / "drift.json").read_text())
    assert shape(report) == shape(committed("drift"))
    clips = json.loads((tmp_path / "drift_clips.json").read_text())
    assert set(clips) == {"none", "99 %"}
    without, clamped = (clips[name] for name in ("none", "99 %"))
    assert [len(clips) for clips in without] == [2, 2]
    assert without[0][0] == clamped[0][0], "the first clip knows no clamp"
    assert without[0][1] != clamped[0][1], "the radius is tight, so that the second does"
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert report["verdicts"][0] in out
    assert report["verdicts"][0].startswith("Clamping at 99 %")


def test_a_video_has_as_many_clips_as_were_asked_for(untrained: Path) -> None:
    pipeline = load_pipeline(str(untrained), "cpu")
    for num_clips in (1, 2, 20):
        assert pipeline.num_clips(frames_of_clips(pipeline, num_clips)) == num_clips
        assert pipeline.num_clips(frames_of_clips(pipeline, num_clips) + 1) == num_clips + 1


def test_mistakes_are_one_line(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--percentiles", "99"], "needs none"),
        (["--percentiles", "none", "x"], "not 'x'"),
        (["--clips", "1"], "2 or more"),
    ):
        assert main(["--model", str(untrained), "--out", str(tmp_path), *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
