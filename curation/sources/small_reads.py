"""A remote file read in small pieces: what a header takes is a few places of a file, and nothing between them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from infra.storage.files import store_errors

HEAD_BYTES: Final = 1 << 16
"""What is fetched of a file's beginning."""
FIRST_BYTES: Final = 1 << 12
"""What is fetched at any other place that is gone to. Where reading goes on there, each request fetches twice as much
as the one before."""
LARGE_BYTES: Final = 1 << 18
"""What is fetched at once at most, before most of a file turns out to be needed: then up to an eighth of what has been
fetched, at most `MAX_BYTES`."""
MAX_BYTES: Final = 1 << 22
KEPT_BYTES: Final = 1 << 25
"""What is kept in memory of a file that is read whole."""


class Sign(StrEnum):
    """What whoever reads a file lets others know."""

    READY = "ready"
    """It has begun."""
    ASKS = "asks"
    """It waits for a store from now on."""
    HAS_ANSWER = "has answer"
    """It does not any more."""


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    content: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.content)


class SmallReads:
    """A remote file as PyAV reads it: a request for each piece that it needs and does not have."""

    def __init__(self, fs: Any, path: str, size: int, give_sign: Callable[[Sign], None] = lambda _: None) -> None:
        """Args:
        fs: the file system.
        path: as it spells it.
        size: of the file, in bytes.
        give_sign: called before each request and after it.
        """
        self.problem: Exception | None = None
        """What went wrong with a request. FFmpeg takes any failed read for the end of the file and may go on."""
        self._fs, self._path, self._size, self._give_sign = fs, path, size, give_sign
        self._position = 0
        self._num_fetched = 0
        self._pieces: list[_Piece] = []
        self._fetches: dict[int, int] = {}  # where a request ended -> how many bytes it was meant to fetch

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where reading goes on, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; returns it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, num_bytes: int = -1) -> bytes:
        """At most so many bytes, at least one before the end of the file.

        Raises:
            OSError: the store does not give them; see `problem`.
        """
        left = self._size - self._position
        num_bytes = left if num_bytes < 0 else min(num_bytes, left)
        if num_bytes <= 0:
            return b""
        piece = self._piece() or self._fetch()
        begin = self._position - piece.start
        content = piece.content[begin : begin + num_bytes]
        self._position += len(content)
        return content

    def _piece(self) -> _Piece | None:
        return next((each for each in reversed(self._pieces) if each.start <= self._position < each.end), None)

    def _fetch(self) -> _Piece:
        start = self._position
        before = self._fetches.get(start)
        most = min(MAX_BYTES, max(LARGE_BYTES, self._num_fetched // 8))
        wanted = min(2 * before, most) if before else HEAD_BYTES if start == 0 else FIRST_BYTES
        end = min(self._size, start + wanted, *(each.start for each in self._pieces if each.start > start))
        self._give_sign(Sign.ASKS)
        try:
            with store_errors():
                content = self._fs.cat_file(self._path, start=start, end=end)
        except Exception as error:
            self.problem = error
            raise
        self._give_sign(Sign.HAS_ANSWER)
        if not content:
            self.problem = OSError(f"{self._path} has become shorter")
            raise self.problem
        self._num_fetched += len(content)
        piece = _Piece(start, content)
        self._fetches[piece.end] = wanted
        self._pieces.append(piece)
        while sum(len(each.content) for each in self._pieces) > KEPT_BYTES and len(self._pieces) > 2:
            self._pieces.pop(1)  # the beginning is come back to
        return piece
