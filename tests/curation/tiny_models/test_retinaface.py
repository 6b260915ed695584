from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.faces.retinaface.detector import RetinaFace
from curation.tiny_models.retinaface import write_retinaface


def test_the_detector_runs_on_it(tmp_path: Path) -> None:
    write_retinaface(tmp_path / "retinaface.pth")
    # Random weights remember no training, from which a release could be told.
    config = RetinaFaceConfig(weights=str(tmp_path / "retinaface.pth"), release="pytorch_retinaface", device="cpu")
    detector = RetinaFace(config)
    assert len(detector.detect([np.zeros((96, 128, 3), np.uint8)])) == 1
