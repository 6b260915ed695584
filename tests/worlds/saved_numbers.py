"""Stands where a trained network does: one number."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from training.distributed.pieces import Digest, Piece
from training.distributed.snapshot import Description, Snapshot, open_pieces
from training.distributed.trained_model import TrainedModel


class Numbers:
    """A network of one number."""

    name = "numbers"
    ema: Any = None
    grad_norm = 1.0

    def __init__(self, value: float = 0.0, *, rank: int = 0) -> None:
        self.number = torch.tensor([value])
        self.rank = rank
        self.module = nn.Identity()

    @property
    def value(self) -> float:
        return float(self.number)

    @property
    def described(self) -> Description:
        return Description(parameters={"number": (1,)}, buffers={}, num_updates=0)

    def snapshot(self) -> Snapshot:
        pieces = {"weight": [Piece(name="number", start=0, data=self.number)]}
        return Snapshot(name=self.name, rank=self.rank, description=self.described, pieces=pieces)

    def load(self, folder: Path) -> None:
        with open_pieces(folder / self.name, "weight") as files:
            self.number.copy_(files.read("number", 0, 1))


@dataclass(frozen=True, kw_only=True)
class BreakingSnapshot(Snapshot):
    """Fails after it has written something, as on a full disk."""

    def write(self, folder: Path) -> dict[str, Digest]:
        super().write(folder)
        raise OSError(28, "No space left on device", str(folder / "numbers"))


class Breaking(Numbers):
    """Cannot be saved."""

    def snapshot(self) -> Snapshot:
        whole = super().snapshot()
        return BreakingSnapshot(name=self.name, rank=self.rank, description=self.described, pieces=whole.pieces)


OPENED = threading.Event()
"""Set when slow snapshots may be written."""


@dataclass(frozen=True, kw_only=True)
class SlowSnapshot(Snapshot):
    """Is written once `OPENED` is set."""

    def write(self, folder: Path) -> dict[str, Digest]:
        assert OPENED.wait(30)
        return super().write(folder)


class Slow(Numbers):
    """Takes long to be saved."""

    def snapshot(self) -> Snapshot:
        whole = super().snapshot()
        return SlowSnapshot(name=self.name, rank=self.rank, description=self.described, pieces=whole.pieces)


def models(*numbers: Numbers) -> list[TrainedModel]:
    return [cast("TrainedModel", each) for each in numbers]
