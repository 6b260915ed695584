"""Remote sources on a node's disk: each fetched once, however many segments, pools and workers read it there.

The copies lie in a folder of the run that all its processes on the node share. Kernel locks say who uses a copy, so a
killed worker leaves nothing locked: a shared lock is held on a copy while it is read, an exclusive one while it is
fetched or deleted. When the last process of the run is gone the folder goes too (see `node_copies_cleanup`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from curation.sources import node_copies_cleanup as cleanup
from infra.storage.files import fetch, is_local, local_copy

PARTIAL, LOCK = ".part", ".lock"
RETRY_S = 0.01
"""Seconds until those who found no copy at the same time try again for the lock under which it is fetched."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchConfig:
    """Where a node keeps what it has fetched."""

    directory: str | None = None
    """On a fast local disk; None for the system's temporary directory."""
    max_bytes: int = 16 << 30
    """16 GiB. Beyond this, copies that nobody reads are deleted, the longest unread first; a copy in use stays."""

    def __post_init__(self) -> None:
        """Refuse a negative size."""
        if self.max_bytes < 0:
            raise ValueError("max_bytes must be 0 or more")


class NodeCopies:
    """The copies of one run on this node, as one process sees them; its threads may share one.

    Each use opens the files of its locks anew, so that threads exclude each other as processes do.
    """

    def __init__(self, config: FetchConfig, session: str) -> None:
        """Args:
        config: see `FetchConfig`.
        session: names the run among those on this node.
        """
        self.config = config
        root = Path(config.directory or tempfile.gettempdir()) / f"soul-inputs-{os.getuid()}"
        self.folder = root / session
        self._alive: BinaryIO | None = None
        self._joining = threading.Lock()

    @contextmanager
    def open(self, uri: str, *, last_use: bool = False) -> Iterator[str]:
        """A path on this machine that holds what `uri` names.

        Args:
            uri: of the file; one that is local already stays where it is.
            last_use: nobody will ask for the file again, so its copy is deleted afterwards unless it is in use
                elsewhere.

        Raises:
            OSError: as `storage.local_copy`.
        """
        if is_local(uri):
            with local_copy(uri) as path:
                yield path
            return
        with self._joining:
            self._join()
        digest = hashlib.sha256(uri.encode()).hexdigest()[:32]
        copy = self.folder / f"{digest}{PurePosixPath(uri).suffix[:16]}"
        with _lock_of(copy).open("ab") as lock:
            self._hold(copy, lock, uri)
            try:
                yield str(copy)
            finally:
                os.utime(copy)
                if last_use and _taken(lock):
                    copy.unlink(missing_ok=True)

    def _join(self) -> None:
        """Make the folder and note that this process uses it; make it again if a cleaner has deleted it meanwhile."""
        while self._alive is None or not _is_at(self._alive, self.folder / cleanup.ALIVE):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                (self.folder / cleanup.CLEANER).touch()
                self._alive = (self.folder / cleanup.ALIVE).open("a+b")
            except FileNotFoundError:
                continue
            fcntl.flock(self._alive, fcntl.LOCK_SH)
            weakref.finalize(self, self._alive.close)
            if _is_at(self._alive, self.folder / cleanup.ALIVE):
                _start_cleanup(self.folder)
                self._clean_up_others()

    def _clean_up_others(self) -> None:
        """Delete the folders of other runs whose cleaners died with them, as in a power cut."""
        for folder in self.folder.parent.iterdir():
            if folder != self.folder and (folder / cleanup.ALIVE).exists():
                _start_cleanup(folder)

    def _hold(self, copy: Path, lock: BinaryIO, uri: str) -> None:
        """Return with a shared lock on a whole copy."""
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if copy.exists():
                return
            # Not a lock that is waited for: the first to have the copy would keep the others waiting while it reads.
            if not _taken(lock):
                time.sleep(RETRY_S)
            elif not copy.exists():
                self._fetch(copy, uri)
            # Between the exclusive and the shared lock another process may delete it: look again.

    def _fetch(self, copy: Path, uri: str) -> None:
        partial = copy.with_name(copy.name + PARTIAL)
        try:
            try:
                fetch(uri, str(partial))
            except OSError as error:
                if error.errno not in NO_SPACE or not self._make_room(0):
                    raise
                fetch(uri, str(partial))
            partial.replace(copy)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                told = f"{os.strerror(error.errno or 0)}, fetching {uri}"
                raise OSError(error.errno, told, str(self.folder)) from error
            raise
        self._make_room(self.config.max_bytes)

    def _make_room(self, max_bytes: int) -> int:
        """Delete copies that nobody uses, the longest unread first, until at most `max_bytes` are left; returns the
        bytes deleted."""
        found = list(_copies_in(self.folder))
        total = sum(status.st_size for _, status in found)
        deleted = 0
        for path, status in sorted(found, key=lambda item: item[1].st_mtime):
            if total - deleted <= max_bytes:
                break
            with _lock_of(path).open("ab") as lock:
                if _taken(lock):
                    path.unlink(missing_ok=True)
                    deleted += status.st_size
        return deleted


def _copies_in(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The copies, whole ones and parts; one that is deleted or made whole meanwhile is left out."""
    for path in folder.iterdir():
        if path.suffix != LOCK and path.name not in (cleanup.ALIVE, cleanup.CLEANER):
            with suppress(FileNotFoundError):
                yield path, path.stat()


def _lock_of(copy: Path) -> Path:
    return copy.with_name(copy.name.removesuffix(PARTIAL) + LOCK)


def _taken(lock: BinaryIO) -> bool:
    """Take the exclusive lock if nobody else has any; if somebody has, a shared lock held before is given up too."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _start_cleanup(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-I", "-S", cleanup.__file__, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
