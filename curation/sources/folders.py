"""Every file below a directory, here or in an object store: links followed once, trash and hidden files left out."""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from infra.storage.commits import SESSION_FILE
from infra.storage.object_pages import ListedObject, object_pages

TRASH = frozenset(
    {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information"}
    | {"thumbs.db", "desktop.ini"}
)
"""What operating systems, storage boxes and archivers leave behind, in lower case; hidden files are skipped as well."""
NOT_VIDEO = frozenset(
    {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".md", ".yaml", ".yml", ".parquet", ".html", ".pdf", ".py"}
    | {".srt", ".vtt", ".ass", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".part", ".tmp", ".log", ".nfo"}
    | {".wav", ".mp3", ".flac", ".m4a", ".aac", ".ogg", ".zip", ".tar", ".gz", ".xml"}
    | {".m3u", ".m3u8", ".mpd", ".sdp", ".ffconcat", ".safetensors"}
)
"""Extensions that a directory may hold beside its videos; everything else is tried and, if need be, recorded."""
MADE_BY_RUNS = frozenset({"bucket", "shards", "quarantine", "encoded", "train", "model", "bench"})
"""Folders that a run makes in its directory. A run directory is recognised by `bucket` beside `shards`, or by the
session file in `shards`."""
SESSION = f"shards/{SESSION_FILE}"
FOLDER_MARK = "_$folder$"
"""How old Hadoop clients name the empty objects that stand for folders."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a directory that could not be listed."""

    path: str
    problem: OSError | None = None
    size: int | None = None
    """Bytes; None where the listing does not say."""
    stamp: str | None = None
    """The store's tag of its content, or when it was changed; None where the listing does not say."""

    @classmethod
    def of(cls, listed: ListedObject) -> Self:
        """An object of a store."""
        return cls(listed.path, size=listed.size, stamp=listed.stamp)

    @classmethod
    def here(cls, path: str, status: Callable[[], os.stat_result]) -> Self:
        """A file of this machine."""
        try:
            found = status()
        except OSError:  # a link to nothing, or a file that has just gone
            return cls(path)
        return cls(path, size=found.st_size, stamp=str(found.st_mtime_ns))


def files_below(root: str, runs: set[str]) -> Iterator[Found]:
    """Regular files below a directory of this machine, without side files, trash, and what runs have made.

    A linked directory is walked once, after all directories that are not links. So a circle of links ends, and a file
    that is reached both ways is named without links. A link to nothing is a file, which will be recorded as missing.

    Args:
        root: the directory.
        runs: gets the run directories among it and those below it.

    Raises:
        OSError: the directory itself cannot be listed.
    """
    for directory, entries in _walk(root, runs):
        if isinstance(entries, OSError):
            if directory == root:
                raise entries
            yield Found(f"{directory}/", entries)
        else:
            for entry in entries:
                if may_be_video(entry.name) and is_file(entry):
                    yield Found.here(entry.path, entry.stat)


def directories_below(root: str, runs: set[str]) -> Iterator[str]:
    """A directory and those below it that can be listed, each once; see `files_below`."""
    yield from (directory for directory, entries in _walk(root, runs) if not isinstance(entries, OSError))


def _walk(root: str, runs: set[str]) -> Iterator[tuple[str, Sequence[os.DirEntry[str]] | OSError]]:
    visited: set[tuple[int, int]] = set()
    own, links = deque([root]), list[str]()
    while own or links:
        directory = own.popleft() if own else heapq.heappop(links)
        try:
            status = os.stat(directory)  # noqa: PTH116 (names that are no text stay plain strings)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = list_directory(directory)
        except OSError as error:
            yield directory, error
            continue
        made = MADE_BY_RUNS if _is_run(directory, entries) else frozenset()
        if made:
            runs.add(directory)
        for entry in entries:
            if not is_skipped(entry.name) and entry.name not in made and is_directory(entry):
                if entry.is_symlink():
                    heapq.heappush(links, entry.path)
                else:
                    own.append(entry.path)
        yield directory, entries


def _is_run(directory: str, entries: Sequence[os.DirEntry[str]]) -> bool:
    names = {entry.name for entry in entries}
    return "shards" in names and ("bucket" in names or os.path.lexists(f"{directory}/{SESSION}"))


def list_directory(directory: str) -> list[os.DirEntry[str]]:
    """The entries of a directory, sorted by name.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is, or links to, a directory."""
    try:
        return entry.is_dir()
    except OSError:  # a circle of links, or a target that may not be read
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one or to nothing; pipes, sockets and devices are no files."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110 (as above)
    except OSError:
        return True


def objects_below(
    fs: Any, root: str, runs: set[str], wanted: Callable[[str], bool], *, max_depth: int | None = None
) -> Iterator[Found]:
    """Objects below a prefix of an object store, without folders, trash and runs, under the keys that the store gives.

    Args:
        fs: the store.
        root: the prefix.
        runs: gets the run directories below it.
        wanted: whether a key is asked for; of the others, nothing is kept in memory.
        max_depth: of the keys.
    """
    below_root, found = set[str](), list[Found]()
    for each in object_pages(fs, root, max_depth=max_depth):
        if each.path.endswith(f"/{SESSION}"):
            below_root.add(each.path.removesuffix(f"/{SESSION}"))
        below = each.path.removeprefix(root).lstrip("/")
        if each.path.endswith(("/", FOLDER_MARK)) or not below or any(is_skipped(name) for name in below.split("/")):
            continue
        if wanted(each.path):
            found.append(Found.of(each))
    # A run shows itself by one of its last keys.
    runs |= below_root
    made = tuple(f"{run}/{name}/" for run in below_root for name in MADE_BY_RUNS)
    yield from (each for each in found if not each.path.startswith(made))


def may_be_video(path: str) -> bool:
    """Whether a file's name is neither trash nor that of another kind of file."""
    name = PurePosixPath(path)
    return not is_skipped(name.name) and name.suffix.lower() not in NOT_VIDEO


def is_skipped(name: str) -> bool:
    """Whether a file or directory is hidden or trash."""
    return name.startswith(".") or name.lower() in TRASH
