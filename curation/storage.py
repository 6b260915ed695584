"""Files anywhere fsspec reaches: a local directory and `s3://` are the same code."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec


def filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path as that file system spells it."""
    fs, plain = fsspec.core.url_to_fs(path)
    return fs, plain


def is_local(path: str) -> bool:
    """Whether a path or URI lies on this machine's file system."""
    fs, _ = filesystem(path)
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def join(directory: str, *names: str) -> str:
    """Path of a file below a directory or URI prefix."""
    return "/".join([directory.rstrip("/"), *names])


def write_atomically(path: str, data: bytes) -> None:
    """Write a whole file so that a reader sees all of it or nothing, whatever dies meanwhile.

    Object stores publish on completion; locally a temporary neighbour is renamed into place.
    """
    fs, plain = filesystem(path)
    if not is_local(path):
        fs.pipe_file(plain, data)
        return
    target = Path(plain)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        # A full disk must not stay so because of what did not fit.
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Inside, an OSError that names no file names this one: a full disk's, met while a file is written, does not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_bytes(path: str) -> bytes:
    """A whole file.

    Raises:
        FileNotFoundError: there is none.
    """
    fs, plain = filesystem(path)
    data = fs.cat_file(plain)
    assert isinstance(data, bytes)
    return data


def list_files(directory: str, suffix: str = "") -> list[str]:
    """Names of the files directly in a directory whose name ends in `suffix`, sorted; [] when there is none."""
    fs, plain = filesystem(directory)
    fs.invalidate_cache()
    try:
        entries = fs.ls(plain, detail=True)
    except FileNotFoundError:
        return []
    names = [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"]
    return sorted(name for name in names if name.endswith(suffix))


def remove(path: str) -> None:
    """Delete a file; one that is gone already is no error."""
    fs, plain = filesystem(path)
    try:
        fs.rm_file(plain)
    except FileNotFoundError:
        return


@contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """A path on this machine that holds what `uri` names; a remote file is fetched and deleted afterwards.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be fetched.
    """
    fs, plain = filesystem(uri)
    if is_local(uri):
        yield plain
        return
    handle, path = tempfile.mkstemp(prefix="soul-", suffix=Path(plain).suffix)
    os.close(handle)
    try:
        fs.get_file(plain, path)
        yield path
    finally:
        Path(path).unlink(missing_ok=True)
