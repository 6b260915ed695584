"""The directory that a command writes into: made, and found to be writable, before any work is done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.command_line import CommandFailedError


def prepare(out: Path) -> None:
    """Make the directory and try to write there.

    Raises:
        ValueError: it cannot be made, or nothing can be written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"cannot write into {out} ({error.strerror})") from error


@contextmanager
def working_in(out: Path) -> Iterator[None]:
    """Inside, a command works and writes its results into `out`.

    Raises:
        CommandFailedError: one of the command's files, input or output, cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, ConnectionError):
            raise  # an error of a cluster, or of the reader of standard output
        place = error.filename or out
        raise CommandFailedError(f"{place}: {error.strerror}; the same command goes on") from error
