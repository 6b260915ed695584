"""A disk that is soon full: a tmpfs of a few KiB, where mounting is allowed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Path]:
    """Inside, `folder` is a file system of that size; the test is skipped where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        # Lazily, because weights that a test has loaded may still be mapped.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(folder: Path, size_kib: int) -> None:
    """Make space on a small disk."""
    subprocess.run(["mount", "-o", f"remount,size={size_kib}k", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> None:
    """Fill the disk, except for `leave` bytes."""
    free = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        file.write(bytes(free.f_bavail * free.f_frsize - leave))
