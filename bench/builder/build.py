"""A build: its directory, in which only one run may work at a time, its spec and plan, and its state.

Every command first opens one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from bench.builder.briefs import Brief, fingerprint, plan
from bench.builder.ledger import BuildLedger, Entry, Kind
from bench.builder.spec import BuildSpec, read_spec
from bench.builder.state import State, read_state
from infra.config import layered, read_yaml
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
        """Check that the directory holds a build.

        Raises:
            ValueError: it holds none.
        """
        if not self.spec.is_file():
            raise ValueError(f"{self.path} holds no build; `python -m bench build plan --build {self.path}` begins one")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep other runs out of the directory while this one works.

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
    """Write a file atomically; returns the hash of its content."""
    write_atomically(str(path), data)
    return content_hash(data)


def content_hash(data: bytes) -> str:
    """64 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()


def holds(path: Path, content: str) -> bool:
    """Whether a file is there and has that content."""
    return path.is_file() and content_hash(path.read_bytes()) == content


@dataclass(kw_only=True, slots=True)
class Build:
    """What is being built, and where it stands."""

    directory: BuildDirectory
    spec: BuildSpec
    briefs: tuple[Brief, ...]
    plan: str
    """Fingerprint of the briefs."""
    ledger: BuildLedger
    state: State


def open_build(path: Path, overrides: Sequence[str] = ()) -> Build:
    """The build of a directory.

    Raises:
        ValueError: there is none, its spec or ledger is broken, or the spec asks for another plan than it began with.
    """
    directory = BuildDirectory(path)
    directory.check()
    spec = read_spec(directory.spec, overrides)
    briefs = plan(spec)
    ledger, hash_ = BuildLedger(directory.ledger), fingerprint(briefs)
    if overrides and hash_ != fingerprint(plan(read_spec(directory.spec))):
        raise ValueError(f"--set would change what is built: set target, seed and shares in {directory.spec}")
    entries = ledger.read()
    try:
        state = read_state(briefs, hash_, entries)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Build(directory=directory, spec=spec, briefs=briefs, plan=hash_, ledger=ledger, state=state)


def begin(build: Build) -> None:
    """Record the plan in the ledger, unless it is recorded already."""
    if not any(entry.kind is Kind.PLANNED for entry in build.ledger.read()):
        build.ledger.append([Entry(kind=Kind.PLANNED, data={"plan": build.plan, "target": build.spec.target})])


def lay_out(path: Path, spec: Path, overrides: Sequence[str] = ()) -> Build:
    """Write a spec into a directory and open the build; a spec that is there already must be the same.

    Raises:
        ValueError: the spec is invalid, or the directory holds another one.
    """
    read_spec(spec, overrides)
    text = yaml.safe_dump(layered(overrides, read_yaml(spec)), sort_keys=False) if overrides else spec.read_text()
    directory = BuildDirectory(path)
    if directory.spec.is_file() and directory.spec.read_text() != text:
        raise ValueError(f"{directory.spec} is there already and differs; edit it, or give another --build")
    write_atomically(str(directory.spec), text.encode())
    return open_build(path)
