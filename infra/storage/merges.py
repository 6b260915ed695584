"""Small commits that were merged into large ones: which of them no longer count.

    _merges/<seconds>-<id>.json    for each commit that is to be made: the commits that it is made of
    _merged/<seconds>-<id>.json    the same, when no reader needs it any more

A journal is written before its merges begin. An entry counts once the large commit is there: from then on readers pass
over the small ones, which are deleted. Whatever a merge is interrupted at, every row is read exactly once, and the next
session deletes what is left. A journal stays for a while after that, for readers that had listed the commits before,
and is then put away for those who ask what became of a commit.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final

from infra.config import ConfigError
from infra.storage.files import join, list_files, read_bytes, remove, write_atomically

FOLDER: Final = "_merges"
PUT_AWAY: Final = "_merged"
KEPT_S: Final = 3600.0
"""How long a journal stays at least: longer than a reader takes from listing commits to reading journals."""


class Merges:
    """The journals of a directory of commits."""

    def __init__(self, directory: str) -> None:
        self.folder = join(directory, FOLDER)
        self.put_away = join(directory, PUT_AWAY)

    def announce(self, merges: Mapping[str, Sequence[str]]) -> None:
        """Write down what is about to be merged.

        Args:
            merges: names of commits that are to be made → names of those that they are made of.
        """
        if merges:
            content = json.dumps({name: list(parts) for name, parts in merges.items()}, indent=1)
            name = f"{int(time.time())}-{uuid.uuid4().hex[:8]}.json"
            write_atomically(join(self.folder, name), content.encode())

    def replaced(self, names: Collection[str]) -> set[str]:
        """Those of the commits that a directory has that are in a larger one of them.

        Args:
            names: of all commits, listed before this is called.

        Raises:
            ConfigError: a journal is damaged.
        """
        found: set[str] = set()
        for merges in _journals(self.folder).values():
            for name, parts in merges.items():
                if name in names:
                    found.update(part for part in parts if part in names)
        return found

    def former(self) -> set[str]:
        """All commits that were ever to be merged into others; some may still be there.

        Raises:
            ConfigError: a journal is damaged.
        """
        journals = [*_journals(self.folder).values(), *_journals(self.put_away).values()]
        return {part for merges in journals for parts in merges.values() for part in parts}

    def clear_up(self) -> None:
        """Put old journals away. What they say was merged has been deleted."""
        now_s = time.time()
        for journal in _journals(self.folder):
            name = journal.rpartition("/")[2]
            if now_s - float(name.partition("-")[0]) > KEPT_S:
                write_atomically(join(self.put_away, name), read_bytes(journal))
                remove(journal)


def _journals(folder: str) -> dict[str, Mapping[str, Sequence[str]]]:
    """What the journals of a folder say, by their paths. One that is removed meanwhile says nothing any more."""
    found = {}
    for name in list_files(folder, ".json"):
        path = join(folder, name)
        try:
            found[path] = _read(path)
        except FileNotFoundError:
            continue
    return found


@lru_cache(maxsize=256)
def _read(path: str) -> Mapping[str, Sequence[str]]:
    """Kept, because a journal never changes."""
    try:
        merges: Mapping[str, Sequence[str]] = json.loads(read_bytes(path))
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    return merges
