"""SyncNet at its full size: the published layout has no smaller one, and its weights are 55 MB."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from curation.backends.lips.syncnet.network import SyncNet

SEED: Final = 0


def write_syncnet(path: Path) -> None:
    """Write random weights as `syncnet_v2.model` holds the real ones: the network's state."""
    torch.manual_seed(SEED)
    torch.save(SyncNet().state_dict(), path)
