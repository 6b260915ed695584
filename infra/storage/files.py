"""Files anywhere fsspec reaches: a local directory and `s3://` are the same code."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from infra.storage.object_pages import ListedObject, children, found_object, is_s3

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
LOCAL_SCHEMES = (None, "file", "local")
LOCALHOST = re.compile(r"\Afile://localhost(?=/)")
"""The long spelling of `file://` (RFC 8089)."""


class NotAFileError(OSError):
    """A directory, a pipe or a device where a file is wanted."""


def scheme_of(path: str) -> str | None:
    """`s3` of `s3://bucket/key`, None of a plain path."""
    match = SCHEME.match(path)
    return match[1] if match else None


def filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path as that file system spells it.

    Names are taken literally: fsspec's own `url_to_fs` would take `::` for a chain of file systems.

    Raises:
        ValueError: fsspec does not know the scheme.
        ImportError: the package that reads it is not installed.
    """
    path = LOCALHOST.sub("file://", path)
    cls = fsspec.get_filesystem_class(scheme_of(path) or "file")
    return cls(**cls._get_kwargs_from_urls(path)), cls._strip_protocol(path)


def is_local(path: str) -> bool:
    """Whether a path or URI lies on this machine's file system."""
    return scheme_of(path) in LOCAL_SCHEMES


def join(directory: str, *names: str) -> str:
    """Path of a file below a directory or URI prefix."""
    return "/".join([directory.rstrip("/"), *names])


def write_atomically(path: str, data: bytes) -> None:
    """Write a whole file so that a reader sees all of it or nothing, even if the writer dies meanwhile.

    Object stores publish a file once it is complete; locally a temporary file beside it is renamed into place.
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
        # On a full disk, the part that was written must not keep taking up space.
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Inside, an OSError without a file name gets this one: when a write finds the disk full, the error has none."""
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


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    fs, plain = filesystem(path)
    fs.invalidate_cache()
    return bool(fs.exists(plain))


def list_files(directory: str, suffix: str = "") -> list[str]:
    """Names of the files directly in a directory whose name ends in `suffix`, sorted; [] when there is none."""
    return list(file_sizes(directory, suffix))


def file_sizes(directory: str, suffix: str = "") -> dict[str, int]:
    """Bytes of the files directly in a directory whose name ends in `suffix`, by name, sorted; {} for no directory."""
    return {name: each.size or 0 for name, each in listed_files(directory, suffix).items()}


def listed_files(directory: str, suffix: str = "") -> dict[str, ListedObject]:
    """What is known of the files directly in a directory whose name ends in `suffix`, by name, sorted."""
    return {name: each for name, each in _entries(directory, "file") if name.endswith(suffix)}


def list_folders(directory: str) -> list[str]:
    """Names of the folders directly in a directory, sorted; [] when there is none."""
    return [name for name, _ in _entries(directory, "directory")]


def _entries(directory: str, kind: str) -> list[tuple[str, ListedObject]]:
    fs, plain = filesystem(directory)
    fs.invalidate_cache()
    try:
        if is_s3(fs):
            objects, folders = children(fs, plain)
            files = [each for each in objects if not each.path.endswith("/")]
            found = files if kind == "file" else [ListedObject(folder, None, None) for folder in folders]
        else:
            entries = fs.ls(plain, detail=True)
            found = [found_object(each, each["name"].rstrip("/")) for each in entries if each["type"] == kind]
            fs.invalidate_cache()  # a client keeps a kilobyte for every file that it has listed
    except FileNotFoundError:
        return []
    return sorted((each.path.rsplit("/", 1)[-1], each) for each in found)


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
        NotAFileError: it is a directory or a pipe.
        OSError: it cannot be opened or fetched.
    """
    if is_local(uri):
        _, plain = filesystem(uri)
        check_file(plain)
        yield plain
        return
    handle, path = tempfile.mkstemp(prefix="soul-", suffix=Path(uri).suffix)
    os.close(handle)
    try:
        fetch(uri, path)
        yield path
    finally:
        Path(path).unlink(missing_ok=True)


def check_file(path: str) -> None:
    """Refuse a path that libraries would report less clearly, or wait for without end.

    Raises:
        OSError: it is missing, no regular file, or may not be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (paths are strings throughout: they travel in rows)
        raise NotAFileError(f"{path} is a directory, a pipe or a device")
    with Path(path).open("rb"):
        return


def fetch(uri: str, path: str) -> None:
    """Copy a remote file to a path on this machine.

    Raises:
        OSError: it cannot be copied, or the store does not allow such a name.
        Exception: of the store's client, such as one about credentials, which does not concern this file alone.
    """
    fs, plain = filesystem(uri)
    try:
        fs.get_file(plain, path)
    except OSError:
        raise
    except Exception as error:
        # The stores' clients check names themselves and raise exceptions of their own.
        if isinstance(error, ValueError) or type(error).__name__ == "ParamValidationError":
            raise OSError(f"{uri}: {' '.join(str(error).split())}") from error
        raise


@contextmanager
def store_errors() -> Iterator[None]:
    """Inside, exceptions of an object store's client become OSErrors, like those of other file systems."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"botocore", "aiobotocore", "aiohttp", "gcsfs"}:
            raise OSError(str(error)) from error
        raise
