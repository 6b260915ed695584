"""Files from the web: resumed where a download broke off, checked, unpacked, and only then put into their place."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.weights.source import Content, NotFetchedError, WebFile, WebWeights

PAUSES_S: Final = (1.0, 3.0, 10.0)
"""Before each further attempt; the count begins anew whenever something has arrived."""
BUSY: Final = frozenset({429, 500, 502, 503, 504})
"""Statuses after which it is worth asking again."""
CHUNK_BYTES: Final = 1 << 20
TIMEOUT_S: Final = 60.0
Told = Callable[[int, int], None]
"""Given the bytes that are there, and those that there will be."""


class _BrokenOffError(Exception):
    """The rest may come with another attempt."""


def fetch(weights: WebWeights, models: Path, told: Told, *, mirror: str | None = None) -> None:
    """Download weights, check them and put their files into place.

    Args:
        weights: what to fetch.
        models: folder of weights.
        told: told of the progress.
        mirror: address of a folder that has the same file, in place of the authors'.

    Raises:
        NotFetchedError: the address does not answer, or what it gives is not what is declared.
        OSError: a file cannot be written.
    """
    url = weights.url if mirror is None else f"{mirror.rstrip('/')}/{weights.name}"
    part = models / f".{weights.name}.part"
    models.mkdir(parents=True, exist_ok=True)
    _download(url, part, weights.download.size, told)
    try:
        _check(part, weights.download, url)
        for file in weights.files:
            _place(part, file, models)
    except NotFetchedError:
        _forget(part)
        raise
    _forget(part)


def _check(path: Path, content: Content, name: str) -> None:
    problem = content.problem(path)
    if problem is not None:
        raise NotFetchedError(f"{name} is another file than expected: {problem}")


def _download(url: str, part: Path, size: int, told: Told) -> None:
    """Bring a part up to the whole file, with as many attempts as help."""
    pauses = list(PAUSES_S)
    while _size(part) < size:
        before = _size(part)
        try:
            _continue(url, part, size, told)
        except (_BrokenOffError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            pauses = list(PAUSES_S) if _size(part) > before else pauses
            if not pauses:
                raise NotFetchedError(f"{url} breaks off ({error}); the same command goes on from there") from error
            time.sleep(pauses.pop(0))


def _continue(url: str, part: Path, size: int, told: Told) -> None:
    """Ask for what is lacking and append it; a server that has another file by now sends all of it."""
    begun, tag = _size(part), _tag_of(part)
    # Without the file's tag, nothing says that the rest belongs to the part that is there.
    resumes = bool(begun and tag.is_file())
    request = urllib.request.Request(url, headers={"User-Agent": "soul"})
    if resumes:
        request.add_header("Range", f"bytes={begun}-")
        request.add_header("If-Range", tag.read_text())
    with _opened(request) as answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
            _forget(part)
            raise _BrokenOffError("the server sent another part than was asked for")
        if not goes_on:
            _remember_tag(tag, answer.headers.get("ETag"))
        with part.open("ab" if goes_on else "wb") as file:
            while file.tell() <= size and (chunk := answer.read(CHUNK_BYTES)):
                file.write(chunk)
                told(file.tell(), size)
    if _size(part) < size:
        raise _BrokenOffError(f"it ended after {_size(part):,} of {size:,} bytes")


def _opened(request: urllib.request.Request) -> Any:
    host = urlsplit(request.full_url).netloc
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code in BUSY:
            raise _BrokenOffError(f"{host} answers {error.code} {error.reason}") from error
        raise NotFetchedError(f"{request.full_url} answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise NotFetchedError(f"{host} cannot be reached ({reason})") from error


def _place(part: Path, file: WebFile, models: Path) -> None:
    target = models / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.tmp")
    try:
        if file.member is None:
            part.replace(staged)
        else:
            _unpack(part, file.member, staged)
        _check(staged, file.content, file.path)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _unpack(archive: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [name for name in zipped.namelist() if name.rpartition("/")[2] == member]
            if len(names) != 1:
                raise NotFetchedError(f"{archive.name} holds {member} {len(names)} times")
            with zipped.open(names[0]) as source, target.open("wb") as file:
                while chunk := source.read(CHUNK_BYTES):
                    file.write(chunk)
    except zipfile.BadZipFile as error:
        raise NotFetchedError(f"{archive.name} is no zip ({error})") from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _tag_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _remember_tag(tag: Path, value: str | None) -> None:
    # A weak tag does not promise the same bytes.
    if value and not value.startswith("W/"):
        tag.write_text(value)
    else:
        tag.unlink(missing_ok=True)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_of(part).unlink(missing_ok=True)
