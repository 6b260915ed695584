from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import AutoImageProcessor, AutoModel

from curation.tiny_models.dinov2 import write_dinov2


def test_transformers_loads_it_and_its_processor(tmp_path: Path) -> None:
    write_dinov2(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    inputs = processor([np.zeros((300, 400, 3), np.uint8)], return_tensors="pt")
    assert tuple(inputs["pixel_values"].shape) == (1, 3, 224, 224)
    embedding = AutoModel.from_pretrained(tmp_path)(**inputs).pooler_output
    assert tuple(embedding.shape) == (1, 32)
