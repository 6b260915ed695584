"""SyncNet's two towers in the published layout: module indices count every ReLU and pool, so weights load strictly.

Legend: B windows, E = 1024 embedding.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

EMBEDDING = 1024
NUM_PARAMETERS = 13_631_616
"""Learnable; the published file holds these and the batch norms' running statistics."""


class SyncNet(nn.Module):
    """Embeds 0.2 s of sound, and five pictures of lips, so that matching ones lie close to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound_block(1, 64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *_sound_block(64, 192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *_sound_block(192, 384, 3, padding=1),
            *_sound_block(384, 256, 3, padding=1),
            *_sound_block(256, 256, 3, padding=1),
            nn.MaxPool2d(3, (2, 2)),
            *_sound_block(256, 512, (5, 4)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_lip_block(3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_block(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1)),
            *_lip_block(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_lip_block(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_lip_block(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_block(256, 512, (1, 6, 6)),
        )

    def embed_sound(self, mfcc: torch.Tensor) -> torch.Tensor:
        """`(B, 1, 13, 20)` cepstra to `(B, E)`."""
        embedding: torch.Tensor = self.netfcaud(self.netcnnaud(mfcc).flatten(1))
        return embedding

    def embed_lips(self, pictures: torch.Tensor) -> torch.Tensor:
        """`(B, 3, 5, 224, 224)` BGR, 0 to 255 unscaled, to `(B, E)`."""
        embedding: torch.Tensor = self.netfclip(self.netcnnlip(pictures).flatten(1))
        return embedding


def load_syncnet(path: Path) -> SyncNet:
    """The network with the weights of `syncnet_v2.model`, ready to embed.

    Raises:
        ValueError: the file is missing, is no state dict, or not of this network.
    """
    if not path.is_file():
        raise ValueError(f"no SyncNet weights at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is not a weights file ({str(error).splitlines()[0]})") from error
    network = SyncNet()
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = str(error).splitlines()
        raise ValueError(f"{path} is not syncnet_v2.model: {' '.join(line.strip() for line in lines[:2])}") from error
    return network.eval().requires_grad_(requires_grad=False)


def _sound_block(
    channels_in: int, channels: int, kernel: int | tuple[int, int], padding: int = 0
) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels_in, channels, kernel, padding=padding), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def _lip_block(
    channels_in: int,
    channels: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 0, 0),
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(channels_in, channels, kernel, stride=stride, padding=padding),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
