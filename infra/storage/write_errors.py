"""Errors of writing a file, whatever exception a library raises, as one line that names the file and says why."""

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
"""What is raised on a full disk: a RuntimeError by torch.save, and errors of their own by safetensors and PyAV."""

_FULL_BYTES: Final = 1 << 20


class NotWrittenError(CommandFailedError):
    """A file could not be written: the disk is full or read-only, say."""


@contextmanager
def writing(path: Path, *, then: str) -> Iterator[None]:
    """Inside, `path` is written and nothing else is done, so every failure means that it could not be written.

    Args:
        path: a file or directory.
        then: what a person loses and what to do; follows the reason in the message.

    Raises:
        NotWrittenError: it could not be written.
    """
    try:
        yield
    except ERRORS as error:
        raise NotWrittenError(f"{path} could not be written: {reason_of(error, path)}; {then}") from error


def reason_of(error: BaseException, path: Path) -> str:
    """One line on why `path` could not be written.

    torch's message only names a place in its own code, so the file system is asked whether the disk is full.
    """
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    full = os.strerror(errno.ENOSPC)
    return f"{full} ({line})" if full not in line and _is_full(path) else line


def _is_full(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    free = os.statvfs(path)
    return free.f_bavail * free.f_frsize < _FULL_BYTES
