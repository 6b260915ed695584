"""RetinaFace with MobileNet: random weights in the published layout, which find nothing or anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from curation.backends.faces.retinaface.network import RetinaFaceNetwork
from curation.backends.faces.retinaface.releases import MOBILENET

SEED: Final = 0
NEGATIVE_SLOPE: Final = 0.1


def write_retinaface(path: Path) -> None:
    """Write random weights as the public files hold the real ones: the network's state."""
    torch.manual_seed(SEED)
    torch.save(RetinaFaceNetwork(MOBILENET, NEGATIVE_SLOPE).state_dict(), path)
