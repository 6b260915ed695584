"""A build's directory: where everything lies, and that one run at a time works in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.storage.files import write_atomically

IMAGE: Final = "png"
SOUND: Final = "wav"


@dataclass(frozen=True, slots=True)
class BuildDirectory:
    """`spec.yaml`, `ledger.jsonl`, `attempts/`, `cases/`, `review/`, `published/`."""

    path: Path

    @property
    def spec(self) -> Path:
        """What is built; a person may edit servers and limits between runs."""
        return self.path / "spec.yaml"

    @property
    def ledger(self) -> Path:
        """What was done, a line each."""
        return self.path / "ledger.jsonl"

    @property
    def review(self) -> Path:
        """The page for people."""
        return self.path / "review"

    @property
    def published(self) -> Path:
        """The set, unless it is published elsewhere."""
        return self.path / "published"

    def attempt_file(self, sample: str, attempt: int, suffix: str) -> Path:
        """What an attempt at a slot made: its image (`png`) or sound (`wav`)."""
        return self.path / "attempts" / sample / f"{attempt}.{suffix}"

    def case_file(self, sample: str, suffix: str) -> Path:
        """Image or sound of a case that was added by hand."""
        return self.path / "cases" / f"{sample}.{suffix}"

    def check(self) -> None:
        """See that something is built here.

        Raises:
            ValueError: nothing is.
        """
        if not self.spec.is_file():
            raise ValueError(f"{self.path} holds no build; `python -m bench build plan --build {self.path}` begins one")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep other runs out for as long as this one works.

        Raises:
            ValueError: another one is at work.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ValueError(f"another run is at work in {self.path}") from error
        try:
            yield
        finally:
            os.close(descriptor)


def store(path: Path, data: bytes) -> str:
    """Write a file whole; returns the hash of its content."""
    write_atomically(str(path), data)
    return content_hash(data)


def content_hash(data: bytes) -> str:
    """64 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()


def holds(path: Path, content: str) -> bool:
    """Whether a file is there and has that content."""
    return path.is_file() and content_hash(path.read_bytes()) == content
