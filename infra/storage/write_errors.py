"""Errors of writing a file, whatever a library makes of them, as one line that names the file and says why."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from av import FFmpegError
from safetensors import SafetensorError

from infra.command_line import CommandFailedError

ERRORS: Final = (OSError, RuntimeError, SafetensorError, FFmpegError)
"""What a full disk becomes: torch.save makes a RuntimeError of it, safetensors and PyAV have errors of their own."""

_FULL_BYTES: Final = 1 << 20


class NotWrittenError(CommandFailedError):
    """A file could not be written: the disk is full, say, or may not be written to."""


@contextmanager
def writing(path: Path, *, then: str) -> Iterator[None]:
    """Inside, `path` is written and nothing else is done: whatever fails is that it cannot be.

    Args:
        path: a file or directory.
        then: what a person loses and what to do, behind the reason.

    Raises:
        NotWrittenError: it could not be.
    """
    try:
        yield
    except ERRORS as error:
        raise NotWrittenError(f"{path} could not be written: {reason_of(error, path)}; {then}") from error


def reason_of(error: BaseException, path: Path) -> str:
    """One line on why `path` could not be written.

    torch says where in its own code it was, which helps nobody: whether the disk is full can be asked.
    """
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    full = os.strerror(errno.ENOSPC)
    return f"{full} ({line})" if full not in line and _is_full(path) else line


def _is_full(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    free = os.statvfs(path)
    return free.f_bavail * free.f_frsize < _FULL_BYTES
