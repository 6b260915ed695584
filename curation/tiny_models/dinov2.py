"""DINOv2 with two small layers, as transformers saves it, with the image processor of the published checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from transformers import Dinov2Config, Dinov2Model

SEED: Final = 0
PROCESSOR: Final = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
"""The published `preprocessor_config.json`."""


def write_dinov2(directory: Path) -> None:
    """Write configuration, weights and image processor into a directory."""
    torch.manual_seed(SEED)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=518, patch_size=14
    )
    Dinov2Model(config).save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2))
