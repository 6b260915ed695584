"""How long a video is, found by reading as little of it as possible: planning needs it of every file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av

from curation.media import MediaError, duration_s
from curation.media.playlists import HEAD_BYTES, names_other_files
from curation.sources.small_reads import Sign, SmallReads
from infra.jobs.machine_fault import machine_fault
from infra.storage.files import check_file, filesystem, is_local, store_errors

MAX_REASON: Final = 100
"""Characters of a reason: reasons are counted, so they must not be different for each file."""
_UNREADABLE: Final = (MediaError, av.error.FFmpegError, OSError, ValueError, ImportError)


@dataclass(frozen=True, slots=True)
class Header:
    """What came of reading a file's header."""

    duration_s: float | None = None
    """None where the file does not tell: it is missing, damaged or no video."""
    fault: str | None = None
    """Why the file could not be reached; then nothing is known of it, and another try may succeed."""


def header_duration(uri: str) -> float | None:
    """Duration that a container claims, in seconds, or else what its packets add up to; None when neither tells."""
    return read_header(uri).duration_s


def read_header(uri: str, size: int | None = None, give_sign: Callable[[Sign], None] = lambda _: None) -> Header:
    """Read a file's header; a damaged one may crash or hang this process.

    Args:
        uri: path or URI.
        size: of the file, in bytes, where it is known; spares a request.
        give_sign: called before each request to a store and after it.
    """
    return _local_header(uri) if is_local(uri) else _remote_header(uri, size, give_sign)


def _local_header(uri: str) -> Header:
    try:
        _, path = filesystem(uri)
        check_file(path)
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return Header(fault=machine_fault(error))
    return Header() if names_other_files(head) else _duration_of(path)


def _remote_header(uri: str, size: int | None, give_sign: Callable[[Sign], None]) -> Header:
    try:
        fs, path = filesystem(uri)
    except (ValueError, ImportError):
        return Header()
    if size is None:
        give_sign(Sign.ASKS)
        try:
            with store_errors():
                entry = fs.info(path)
        except Exception as error:  # noqa: BLE001 (whatever the client raises is the store's answer)
            return _not_reached(error)
        give_sign(Sign.HAS_ANSWER)
        if entry["type"] != "file":
            return Header()
        size = int(entry["size"] or 0)
    file = SmallReads(fs, path, size, give_sign)
    try:
        header = Header() if names_other_files(file.read(HEAD_BYTES)) else _duration_of(file)
    except OSError:
        header = Header()
    return header if file.problem is None else _not_reached(file.problem)


def _duration_of(file: Any) -> Header:
    try:
        if not isinstance(file, str):
            file.seek(0)
        return Header(duration_s(file))
    except _UNREADABLE:
        return Header()


def _not_reached(error: Exception) -> Header:
    """What a store's error says of a file: it is not there, it cannot be there, or nothing."""
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | ValueError):
        return Header()
    if type(error).__name__ == "ParamValidationError" or "ParamValidationError" in type(error.__cause__).__name__:
        return Header()  # a name that the store does not allow
    denied = "the store denies access" if isinstance(error, PermissionError) else None
    text = " ".join(str(error).split()) or type(error).__name__
    return Header(fault=machine_fault(error) or denied or text[:MAX_REASON])
