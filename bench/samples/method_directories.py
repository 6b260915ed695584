"""Methods as the command line names them: `--videos NAME=DIR …`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.rows import check_method


def named_directories(arguments: Sequence[str]) -> dict[str, Path]:
    """`NAME=DIR` as a mapping.

    Raises:
        ValueError: one is not of that form, a name cannot be a file name, or a name or a directory is given twice.
    """
    named: dict[str, Path] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or not path:
            raise ValueError(f"--videos {argument!r} is not of the form NAME=DIR")
        if check_method(name) in named:
            raise ValueError(f"--videos: the method {name!r} is given twice")
        directory = Path(path).resolve()
        for other, known in named.items():
            if known == directory:
                raise ValueError(f"--videos: the methods {other!r} and {name!r} are one directory, {directory}")
        named[name] = directory
    return named
