"""The network that comes with Soul: made by one command, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.studies import shipped_network
from bench.studies.generation import Generated, Scene, make_scene
from bench.studies.picture_scores import picture_scores
from bench.studies.talking_faces.dataset import held_out_performance
from bench.studies.talking_faces.measure import block_edges
from model.weights.directory import check_model_directory
from model.weights.examples import read_examples
from tests.bench.studies.shape import shape


def scene(index: int) -> Scene:
    return make_scene(index, held_out_performance(index, duration_s=1.0), size=96)


def shown(frames: np.ndarray) -> Generated:
    return Generated(clips=(), frames=frames, wall_s=0.0, num_forwards=0)


def test_the_truth_is_as_sharp_as_itself_and_blocks_are_seen() -> None:
    scenes = [scene(0), scene(1)]
    truth = picture_scores(scenes, [shown(each.take.frames) for each in scenes])
    assert truth.sharpness_ratio == pytest.approx(1.0)
    assert truth.block_edges == pytest.approx(truth.block_edges_of_truth)
    squares = [np.repeat(np.repeat(each.take.frames[:, ::16, ::16], 16, 1), 16, 2) for each in scenes]
    assert picture_scores(scenes, [shown(each) for each in squares]).block_edges > 3 * truth.block_edges


def test_noise_has_no_edges_of_blocks() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3)).astype(np.uint8)
    assert block_edges(noise) == pytest.approx(1.0, abs=0.03)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_command_makes_it_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    run, out, results = tmp_path / "run", tmp_path / "model", tmp_path / "results.json"
    small = (
        "--train-videos=8",
        "--size=96",
        "--wide-steps=3",
        "--train-steps=3",
        "--distill-steps=2",
        "--refiner-steps=2",
        "--border-steps=2",
    )
    few = ("--centroids=8", "--videos=2", "--seconds=1.4", "--silent-videos=1", "--threads=1")
    words = [f"--run={run}", f"--out={out}", f"--results={results}", *small, *few]
    assert shipped_network.main(words) == 0
    check_model_directory(out)
    report = json.loads(results.read_text())
    assert report["made_from"]["train_videos"] == 8
    assert [example.name for example in read_examples(str(out))] == ["ada", "ben"]
    card = (out / "README.md").read_text()
    assert "8 videos" in card
    (out / "README.md").unlink()
    assert shipped_network.main(words) == 0
    assert shape(json.loads(results.read_text())) == shape(report)


def test_making_and_measuring_are_two_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped_network.main([]) == 2
    assert "give --run" in capsys.readouterr().err
    assert shipped_network.main(["--evaluate", "--results", str(tmp_path / "gone.json")]) == 2
    assert "only it says what the network was made from" in capsys.readouterr().err
