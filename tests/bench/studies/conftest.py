"""A model that has learned nothing, and a codebook, for the studies' code paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.generation.codebook import Codebook
from model.pretrained.assemble import build_pipeline


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of random weights, clips of 7 latents, and a codebook whose radius is tight."""
    directory = tmp_path_factory.mktemp("untrained") / "model"
    pipeline = build_pipeline("tiny", clip_latents=7, area=96 * 96, num_inference_steps=2, guidance_scale=1.0)
    pipeline.codebook = Codebook(
        centroids=torch.zeros(1, 48),
        counts=torch.ones(1, dtype=torch.long),
        distance_quantiles=torch.linspace(0, 4, 101),
    )
    pipeline.save_pretrained(directory)
    return directory
