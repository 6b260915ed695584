from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from bench.metrics.dino import Dino, DinoConfig, consistency, cut_person
from bench.metrics.metric import VideoInput
from bench.samples.samples import Sample
from curation.clip.observations import Box
from tests.worlds.bench_samples import FACELESS, TALKING

SAMPLE = Sample(id="0001_human_talk_en_male", prompt="")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv2 of two narrow layers with random weights."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    folder = tmp_path_factory.mktemp("dino")
    transformers.Dinov2Model(config).save_pretrained(folder)
    return folder


def test_consistency_is_the_clipped_cosine_with_first_and_previous() -> None:
    first, previous = consistency(np.array([[1, 0], [0, 2], [-3, 0], [1, 1]], np.float32))
    assert first == pytest.approx([0, 0, np.sqrt(0.5)])
    assert previous == pytest.approx([0, 0, 0])
    same = consistency(np.ones((3, 4), np.float32))
    assert np.allclose(same, 1)


def test_the_person_is_cut_out_by_the_figure_of_eight_heads() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    person = cut_person(image, Box(x0=0.45, y0=0.2, x1=0.55, y1=0.3))
    assert person.shape[0] > person.shape[1]
    assert person.shape[0] < 400


def test_a_video_by_a_tiny_network(model: Path, videos_dir: Path) -> None:
    metric = Dino(DinoConfig(model=str(model), side_px=56))
    assert metric.available() is None
    outcome = metric(VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=SAMPLE))
    assert outcome.reason is None
    assert 0 < outcome.values["dino"] <= 1.00001
    assert len(outcome.detail["first"]) == len(outcome.detail["previous"]) >= 3
    assert metric(VideoInput(path=videos_dir / f"{FACELESS}.mp4", sample=SAMPLE)).reason == "no face"


def test_pixels_are_imagenets(model: Path) -> None:
    metric = Dino(DinoConfig(model=str(model), side_px=56))
    image = np.full((100, 80, 3), (10, 100, 200), np.uint8)
    features = metric.embed([image])
    network = transformers.Dinov2Model.from_pretrained(model).eval()
    colours = (torch.tensor([200, 100, 10]) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    with torch.inference_mode():
        expected = network(pixel_values=colours[None, :, None, None].expand(1, 3, 56, 56)).last_hidden_state[0, 0]
    assert np.allclose(features[0], expected.numpy(), atol=1e-5)


def test_what_is_missing_is_named(tmp_path: Path, model: Path) -> None:
    assert "--dino" in (Dino().available() or "")
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded" in (Dino(DinoConfig(model=str(tmp_path / "empty"))).available() or "")
    assert Dino(DinoConfig(model=str(model))).protocol != Dino().protocol
