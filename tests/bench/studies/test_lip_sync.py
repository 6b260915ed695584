"""The lip-sync study: its scores on known videos, its command line on an untrained model."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.studies.generation import Generated, Scene, StudySampling, generate, load_pipeline, make_scene
from bench.studies.lip_sync import main
from bench.studies.lip_sync_scores import codec_ceiling, score_videos, summarise
from bench.studies.talking_faces.dataset import held_out_performance
from bench.studies.training_run import TrainingRun
from model.codecs.patch_dct import PatchDCTCodec
from tests.bench.studies.shape import committed, shape

CODEC = PatchDCTCodec()


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(index, held_out_performance(index, duration_s=3.0)) for index in range(5)]


def test_the_truth_scores_as_the_truth(scenes: list[Scene]) -> None:
    scores = score_videos(scenes, codec_ceiling(scenes, CODEC), [None] * 5, CODEC)
    summary = summarise(scores)
    assert summary.r_mean[0] > 0.99
    assert abs(summary.r_others[0]) < 0.4
    assert summary.motion_accuracy == 1.0
    assert summary.identity[0] < 0.3 * summary.identity_others[0]
    assert summary.sharpness_ratio == pytest.approx(1.0)
    assert summary.opening_ratio == pytest.approx(1.0, abs=0.1)
    assert summary.r_silent is None
    assert sum(sum(seen.values()) for seen in summary.motion_confusion.values()) == 5


def test_a_frozen_picture_fails_every_measure(scenes: list[Scene]) -> None:
    frozen = [
        Generated(clips=(), frames=np.repeat(s.reference[None], len(s.take.frames), axis=0), wall_s=1.0, num_forwards=7)
        for s in scenes
    ]
    scores = score_videos(scenes, frozen, frozen, CODEC)
    summary = summarise(scores)
    assert summary.r_mean[0] == pytest.approx(0.0, abs=0.05)
    assert summary.r_silent is not None
    assert {score.motion_seen for score in scores} == {"still"}
    assert summary.identity[0] < 1
    assert (summary.wall_s, summary.num_forwards) == (1.0, 7.0)


def test_videos_of_the_wrong_people_lose_the_reference(scenes: list[Scene]) -> None:
    videos = codec_ceiling(scenes, CODEC)
    swapped = summarise(score_videos(scenes, [*videos[1:], videos[0]], [None] * 5, CODEC))
    assert swapped.identity[0] > 15
    assert swapped.r_mean[0] < 0.5


def test_forwards_are_counted_and_noise_is_fixed(scenes: list[Scene], untrained: Path) -> None:
    pipeline = load_pipeline(str(untrained), "cpu")
    sampling = StudySampling(steps=2, guidance=3.0)
    scene = make_scene(0, held_out_performance(0, duration_s=1.0))
    first, second = generate(pipeline, scene, sampling), generate(pipeline, scene, sampling)
    assert np.array_equal(first.frames, second.frames)
    assert first.frames.shape == (25, 96, 96, 3)
    # Clips of 7 latents: 25 frames are one clip; two steps, each with and without the condition.
    assert first.num_forwards == 4
    started = generate(pipeline, replace(scene, portrait=scene.take.frames[0]), sampling)
    assert not np.array_equal(first.frames, started.frames)
    silent = generate(pipeline, scene, sampling, waveform=torch.zeros_like(scene.take.waveform))
    assert not np.array_equal(first.frames, silent.frames)


def test_the_command_line_evaluates_and_writes_figures(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = ["--videos", "2", "--seconds", "1.4", "--long-videos", "2", "--long-seconds", "2", "--silent-videos", "1"]
    status = main(["--model", str(untrained), "--out", str(tmp_path), "--steps", "1", "2", *lengths, "--threads", "1"])
    assert status == 0
    report = json.loads((tmp_path / "lip_sync.json").read_text())
    names = [result["name"] for result in report["results"]]
    assert names == ["codec", *(f"{n} steps, w 1{what}" for n in (1, 2) for what in ("", ", own start", ", 2 s"))]
    codec, first = report["results"][:2]
    assert codec["summary"]["r_mean"][0] > 0.99
    assert abs(first["summary"]["r_mean"][0]) < 0.9
    videos = json.loads((tmp_path / "lip_sync_videos.json").read_text())
    assert list(videos) == names
    assert videos["1 steps, w 1"][0]["r_silent"] is not None
    assert videos["1 steps, w 1"][1]["r_silent"] is None
    assert report["training"] is None, "nothing was trained"
    assert shape(report) == shape(committed("lip_sync") | {"training": None})
    assert (tmp_path / "lip_sync.png").read_bytes().startswith(b"\x89PNG")
    assert "2 steps, w 1" in capsys.readouterr().out


def test_mistakes_are_one_line(tmp_path: Path, untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--model", str(tmp_path / "nothing")], "nothing"),
        ([], "give --run"),
        (["--model", str(untrained), "--videos", "1"], "at least 2"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_training_is_started_as_a_person_would() -> None:
    command = TrainingRun(run=Path("runs/study"), steps=7, overrides=("optimizer.lr=3e-4",)).command()
    assert command[1:6] == ["-m", "training", "run", "--stage", "720p"]
    settings = [word for flag, word in itertools.pairwise(command) if flag == "--set"]
    assert "steps=7" in settings
    assert settings[-1] == "optimizer.lr=3e-4", "what is given last wins"
