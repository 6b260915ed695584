"""Append-only files of one record a line: appending is locked and synced, and a line torn by a crash is skipped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Add lines (without newlines in them); they are on the disk when this returns.

    Several processes and threads may do so at once. A line that a crash left torn is cut off first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as descriptor:
        _cut_torn_line(descriptor)
        _write_all(descriptor, "".join(line + "\n" for line in lines).encode())
        os.fsync(descriptor)


def read_lines(path: Path) -> list[str]:
    """Every whole line; what follows the last newline was torn by a crash, and the next writer cuts it off.

    Raises:
        OSError: the file cannot be read.
    """
    *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return lines


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _cut_torn_line(descriptor: int) -> None:
    """Cut the file off after its last newline, and seek there."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    whole = end
    while whole > 0:
        start = max(0, whole - 65536)
        newline = os.pread(descriptor, whole - start, start).rfind(b"\n")
        if newline >= 0:
            whole = start + newline + 1
            break
        whole = start
    if whole < end:
        os.ftruncate(descriptor, whole)
    os.lseek(descriptor, whole, os.SEEK_SET)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
