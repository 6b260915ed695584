"""A file that is given away: one that lies somewhere, or one that is made for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.storage.files import filesystem, is_local


@dataclass(frozen=True, kw_only=True, slots=True)
class PushedFile:
    """A file by its name in the repository; it has either a source or content."""

    name: str
    """With slashes, whatever the system."""
    source: str = ""
    """Path or URI of the file whose bytes it has."""
    content: Callable[[], bytes] | None = None
    """Makes its bytes, each time the same."""

    @property
    def is_far(self) -> bool:
        """Whether its bytes come from another machine."""
        return bool(self.source) and not is_local(self.source)

    def size(self) -> int:
        """Bytes of its source.

        Raises:
            OSError: the source is not there.
        """
        fs, plain = filesystem(self.source)
        return int(fs.size(plain))

    def is_whole(self, path: Path) -> bool:
        """Whether `write` has written this very file before.

        What was copied keeps the time of its source. What came from an object store is told by its size: committed
        shards are named after what they hold, and do not change.
        """
        if not path.is_file():
            return False
        if self.content is not None:
            return path.read_bytes() == self.content()
        if self.is_far:
            return path.stat().st_size == self.size()
        there, here = Path(filesystem(self.source)[1]).stat(), path.stat()
        return (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)

    def write(self, path: Path, *, link: bool = False) -> None:
        """Write it; readers see all of it or nothing.

        Args:
            path: where to; its folders are made.
            link: whether a link to a source on this machine will do.

        Raises:
            OSError: it could not be read or written; nothing of it is left.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if link and self.source and not self.is_far:
            path.symlink_to(Path(filesystem(self.source)[1]).resolve())
            return
        part = part_of(path)
        try:
            self._fill(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _fill(self, path: Path) -> None:
        if self.content is not None:
            path.write_bytes(self.content())
            return
        fs, plain = filesystem(self.source)
        if self.is_far:
            fs.get_file(plain, str(path))
            return
        shutil.copyfile(plain, path)
        there = Path(plain).stat()
        os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))


def part_of(path: Path) -> Path:
    """The name of a file while it is written."""
    return path.with_name(f".{path.name}.part")


def is_part(path: Path) -> bool:
    """Whether a name is that of a file whose writing was broken off."""
    return path.name.startswith(".") and path.name.endswith(".part")
