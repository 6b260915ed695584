"""Paths with wildcards. A part of the path that exists as it is written means itself: `Title [id]/*.mp4`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from curation.sources.folders import (
    Found,
    directories_below,
    is_directory,
    is_file,
    is_skipped,
    list_directory,
    objects_below,
)

WILDCARD = re.compile(r"[*?[]")
ANY_DEPTH = "**"


def has_wildcard(path: str) -> bool:
    """Whether a path may stand for other names than its own."""
    return WILDCARD.search(path) is not None


def matching_files(pattern: str, runs: set[str]) -> Iterator[Found]:
    """Files of this machine that a pattern names: `*`, `?`, `[a-z]`, and `**` for directories of any depth.

    Args:
        pattern: an absolute path.
        runs: gets the run directories that `**` passes by.

    Raises:
        OSError: a directory cannot be listed.
    """
    yield from _below("/", [part for part in pattern.split("/") if part], runs)


def _below(directory: str, parts: Sequence[str], runs: set[str]) -> Iterator[Found]:
    part, rest = parts[0], parts[1:]
    path = os.path.join(directory, part)  # noqa: PTH118 (names that are no text stay plain strings)
    if os.path.lexists(path):
        if not rest and os.path.isfile(path):  # noqa: PTH113
            yield Found.here(path, lambda: os.stat(path))  # noqa: PTH116
        elif rest and os.path.isdir(path):  # noqa: PTH112
            yield from _below(path, rest, runs)
    elif part == ANY_DEPTH:
        for deeper in directories_below(directory, runs):
            yield from _below(deeper, rest or ["*"], runs)
    elif has_wildcard(part):
        for entry in list_directory(directory):
            if fnmatchcase(entry.name, part) and (part.startswith(".") or not is_skipped(entry.name)):
                yield from _matched(entry, rest, runs)


def _matched(entry: os.DirEntry[str], rest: Sequence[str], runs: set[str]) -> Iterator[Found]:
    if is_directory(entry):
        yield from _below(entry.path, rest, runs) if rest else ()
    elif not rest and is_file(entry):
        yield Found.here(entry.path, entry.stat)


def matching_objects(fs: Any, pattern: str, runs: set[str]) -> Iterator[Found]:
    """Objects of a store that a pattern names; `runs` as in `objects_below`."""
    parts = pattern.split("/")
    fixed = 1
    while fixed < len(parts) and (not has_wildcard(parts[fixed]) or fs.exists("/".join(parts[: fixed + 1]))):
        fixed += 1
    root, rest = "/".join(parts[:fixed]), parts[fixed:]

    def wanted(path: str) -> bool:
        return _matches(path.removeprefix(root).lstrip("/").split("/"), rest)

    yield from objects_below(fs, root, runs, wanted, max_depth=None if ANY_DEPTH in rest else len(rest))


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not names or not parts:
        return not names and (not parts or list(parts) == [ANY_DEPTH])
    if parts[0] == ANY_DEPTH:
        return _matches(names, parts[1:]) or _matches(names[1:], parts) or (len(parts) == 1)
    return fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])
