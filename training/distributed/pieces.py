"""Flat ranges of tensors in files, from which any other ranges can be read back.

Ranks share out the values of a tensor, each writes the ranges that it has, and another number of ranks reads others.
A file is in the safetensors format. Each of its tensors is one range of a whole tensor's values in their order, and
`starts` in the file's metadata says at which value of the whole tensor it begins.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

import torch
from torch import Tensor

from infra.storage.files import naming

Digest = Mapping[str, int]
"""Size of a file in bytes, `bytes`, and its CRC-32, `crc32`."""

_DTYPES: Final = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}
_METADATA: Final = "__metadata__"
_CHUNK: Final = 1 << 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A range of a tensor's values."""

    name: str
    """Of the whole tensor."""
    start: int
    """The range's first value, in the whole tensor flattened."""
    data: Tensor = field(repr=False)
    """Flat."""


def write_pieces(path: Path, pieces: Sequence[Piece]) -> Digest:
    """Write a file of pieces, at most one of each tensor; returns what `digest_of` says of the file.

    The CRC-32 is that of the values in memory, so that whatever the disk makes of them is found.

    Raises:
        OSError: it could not be written; the error names the file.
    """
    header = _header(pieces)
    crc, size = zlib.crc32(header), len(header)
    with naming(path), path.open("wb", buffering=0) as file:
        _write(file, memoryview(header))
        for piece in pieces:
            values = _bytes_of(piece.data.detach().contiguous().cpu())
            for first in range(0, len(values), _CHUNK):
                chunk = values[first : first + _CHUNK]
                _write(file, chunk)
                crc = zlib.crc32(chunk, crc)
            size += len(values)
        # A disk or quota that is full may say so only now.
        os.fsync(file.fileno())
    return {"bytes": size, "crc32": crc}


def digest_of(path: Path) -> Digest:
    """Size and CRC-32 of a file."""
    with path.open("rb") as file:
        return _digest(file)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a piece lies."""

    file: IO[bytes]
    offset: int
    """In bytes."""
    start: int
    length: int
    dtype: torch.dtype


class PieceFiles:
    """Files of pieces, opened together; what is opened can be read to its end even if somebody deletes it.

    Args:
        paths: the files.

    Raises:
        OSError: one is not there or cannot be read.
        ValueError: one is not a file of pieces.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files: dict[Path, IO[bytes]] = {}
        self._places: dict[str, list[_Place]] = {}
        with ExitStack() as stack:
            for path in paths:
                file = stack.enter_context(path.open("rb"))
                self._files[path] = file
                try:
                    self._add(file)
                except (ValueError, KeyError, TypeError, struct.error) as error:
                    raise ValueError(f"{path} is not a file of pieces") from error
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return list(self._files)

    def digests(self) -> dict[Path, Digest]:
        """Size and CRC-32 of each file."""
        return {path: _digest(file) for path, file in self._files.items()}

    def read(self, name: str, start: int, length: int) -> Tensor:
        """(length,) values of a tensor, from value `start` on, in host memory.

        Raises:
            ValueError: the files do not have all of them.
        """
        places = self._places.get(name, [])
        values = torch.empty(length, dtype=places[0].dtype if places else torch.float32)
        found, buffer, width = 0, _bytes_of(values), values.itemsize
        for place in places:
            first, last = max(start, place.start), min(start + length, place.start + place.length)
            if first < last:
                place.file.seek(place.offset + (first - place.start) * width)
                _read(place.file, buffer[(first - start) * width : (last - start) * width])
                found += last - first
        if found != length:
            raise ValueError(f"{found} of {length} values of {name} are there")
        return values

    def _add(self, file: IO[bytes]) -> None:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > os.fstat(file.fileno()).st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(size))
        starts = json.loads(header.pop(_METADATA)["starts"])
        for name, described in header.items():
            place = _Place(
                file=file,
                offset=8 + size + described["data_offsets"][0],
                start=starts[name],
                length=described["shape"][0],
                dtype=_DTYPES[described["dtype"]],
            )
            self._places.setdefault(name, []).append(place)


def _header(pieces: Sequence[Piece]) -> bytes:
    described: dict[str, object] = {_METADATA: {"starts": json.dumps({each.name: each.start for each in pieces})}}
    offset = 0
    for piece in pieces:
        end = offset + piece.data.numel() * piece.data.itemsize
        described[piece.name] = {
            "dtype": _NAMES[piece.data.dtype],
            "shape": [piece.data.numel()],
            "data_offsets": [offset, end],
        }
        offset = end
    assert len(described) == len(pieces) + 1, "a file has one piece of a tensor"
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes_of(values: Tensor) -> memoryview:
    return values.view(torch.uint8).numpy().data


def _write(file: IO[bytes], data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _read(file: IO[bytes], buffer: memoryview) -> None:
    if file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
        raise ValueError("a file of pieces is cut short")


def _digest(file: IO[bytes]) -> Digest:
    file.seek(0)
    crc, size = 0, 0
    while chunk := file.read(_CHUNK):
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return {"bytes": size, "crc32": crc}
