"""What a checkpoint has of one network: files of pieces, a file a rank and kind, and what they are pieces of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor

from training.distributed.pieces import Digest, Piece, PieceFiles, digest_of, write_pieces

DESCRIPTION_FILE: Final = "network.json"
AVERAGE: Final = "average"
BUFFER: Final = "buffer"
"""Kinds of pieces besides those of `partitions`."""

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the pieces of a network are pieces of."""

    parameters: Shapes
    """The trained parameters, in the network's order."""
    buffers: Shapes
    """What else the network keeps; in the files whole, flattened."""
    num_updates: int
    """How often its optimizer has changed it."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The description of a network's folder.

        Raises:
            FileNotFoundError: there is no such network.
        """
        values: dict[str, Any] = json.loads((folder / DESCRIPTION_FILE).read_text())
        for kind in ("parameters", "buffers"):
            values[kind] = {name: tuple(shape) for name, shape in values[kind].items()}
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One rank's part of a network at one step."""

    name: str
    """Folder of the network in a checkpoint."""
    rank: int
    description: Description
    pieces: Mapping[str, Sequence[Piece]] = field(repr=False)
    """By kind."""

    def write(self, folder: Path) -> dict[str, Digest]:
        """Write into `folder/<name>`; returns size and CRC-32 of each file, named from `folder` on.

        Raises:
            OSError: a file could not be written.
        """
        home = folder / self.name
        home.mkdir(exist_ok=True)
        digests: dict[str, Digest] = {}
        for kind, pieces in self.pieces.items():
            path = home / f"{kind}-{self.rank:05d}.safetensors"
            digests[f"{self.name}/{path.name}"] = write_pieces(path, pieces)
        if self.rank == 0:
            path = home / DESCRIPTION_FILE
            path.write_text(json.dumps(asdict(self.description), indent=1))
            digests[f"{self.name}/{path.name}"] = digest_of(path)
        return digests


def open_pieces(folder: Path, kind: str) -> PieceFiles:
    """All ranks' files of one kind of a network.

    Raises:
        OSError, ValueError: see `PieceFiles`.
    """
    return PieceFiles(sorted(folder.glob(f"{kind}-*.safetensors")))


class HostCopies:
    """Copies of snapshots in host memory, which stay as they are while training goes on.

    The memory is kept for the next copies. For a GPU it is pinned, which makes copying several times as fast.
    """

    def __init__(self) -> None:
        self._memory: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def take(self, snapshot: Snapshot) -> Snapshot:
        """A copy of a snapshot, in place of the copy before it of the same network.

        Raises:
            RuntimeError: there is not that much host memory.
        """
        copied = {kind: self._copy(snapshot.name, kind, pieces) for kind, pieces in snapshot.pieces.items()}
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return replace(snapshot, pieces=copied)

    def _copy(self, network: str, kind: str, pieces: Sequence[Piece]) -> list[Piece]:
        if kind == BUFFER:
            return [replace(piece, data=piece.data.detach().cpu().clone()) for piece in pieces]
        sizes = [piece.data.numel() for piece in pieces]
        memory = self._memory.get((network, kind))
        if memory is None or memory.numel() != sum(sizes):
            memory = torch.empty(sum(sizes), dtype=torch.float32, pin_memory=torch.cuda.is_available())
            self._memory[network, kind] = memory
        copies = [replace(piece, data=part) for piece, part in zip(pieces, torch.split(memory, sizes), strict=True)]
        for copy, piece in zip(copies, pieces, strict=True):
            copy.data.copy_(piece.data, non_blocking=True)
        return copies
