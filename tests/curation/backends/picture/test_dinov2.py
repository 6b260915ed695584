"""DINOv2 as the second look at cuts, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from curation.backends.picture.cut_checker import CutWindow
from curation.backends.picture.dinov2 import Dinov2, Dinov2Config
from curation.backends.picture.embedder import DIMENSIONS, PictureEmbedder
from infra.config import ConfigError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two narrow layers in the layout of facebook/dinov2-base."""
    torch.manual_seed(0)
    shape = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    folder = tmp_path_factory.mktemp("dinov2")
    transformers.Dinov2Model(shape).save_pretrained(folder)
    transformers.BitImageProcessorPil(
        size={"shortest_edge": 64},
        crop_size={"height": 56, "width": 56},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
    return folder


def picture(seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (72, 96, 3)).astype(np.uint8)


def window(before: int, after: int) -> CutWindow:
    return CutWindow([picture(before)] * 3 + [picture(after)] * 3, 3)


def test_the_same_picture_is_at_no_distance_and_others_are(weights: Path) -> None:
    checker = Dinov2(Dinov2Config(weights=str(weights), device="cpu", batch_size=3))
    same, other = checker.distances([window(1, 1), window(1, 2)])
    assert same == pytest.approx(0, abs=1e-6)
    assert other > 1e-3
    assert checker.distances([]) == []


def test_distances_are_those_of_each_cut_alone(weights: Path) -> None:
    checker = Dinov2(Dinov2Config(weights=str(weights), device="cpu", batch_size=4))
    windows = [window(seed, seed + 1) for seed in range(5)]
    alone = [checker.distances([each])[0] for each in windows]
    assert checker.distances(windows) == pytest.approx(alone, abs=1e-6)
    assert len(set(alone)) == 5


def test_pictures_are_embedded_by_the_same_tokens(weights: Path) -> None:
    network = Dinov2(Dinov2Config(weights=str(weights), device="cpu", batch_size=3))
    first, same, other = network.embed([picture(1), picture(1), picture(2)])
    assert first == same != other
    assert len(first) == DIMENSIONS
    assert isinstance(network, PictureEmbedder)


def test_class_tokens_come_from_red_green_blue_in_imagenets_scale(weights: Path) -> None:
    checker = Dinov2(Dinov2Config(weights=str(weights), device="cpu"))
    image = np.full((56, 56, 3), (10, 100, 200), np.uint8)
    pixels = (torch.tensor([200, 100, 10]) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    with torch.inference_mode():
        states = checker.network(pixel_values=pixels.view(1, 3, 1, 1).expand(1, 3, 56, 56)).last_hidden_state
    token = torch.nn.functional.normalize(states[0, 0], dim=0).numpy()
    assert np.allclose(checker._run([image])[0], token, atol=1e-5)


def test_what_cannot_be_loaded_is_told_in_one_line(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no DINOv2 at .*: get facebook/dinov2-base"):
        Dinov2(Dinov2Config(weights=str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is vit and not DINOv2"):
        Dinov2(Dinov2Config(weights=str(tmp_path)))
    assert Dinov2Config(weights=str(weights)).missing() == []


def test_a_hub_id_is_not_looked_for_on_the_disk() -> None:
    assert Dinov2Config().missing() == []
    assert Dinov2Config().found() == "facebook/dinov2-base from the Hub, device auto"
