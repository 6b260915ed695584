"""Writing a checkpoint by all ranks, whole or not at all: aside, described, then moved into place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infra.storage.write_errors import ERRORS, NotWrittenError, reason_of
from training.distributed.pieces import Digest, digest_of
from training.distributed.ranks import Ranks
from training.distributed.snapshot import Snapshot
from training.distributed.train_state import MANIFEST_FILE, STATE_FILE, checkpoint_paths

Gather = Callable[[Any], list[Any]]
"""Gives the value of every rank."""


class CheckpointError(NotWrittenError):
    """A checkpoint could not be written; those before it are untouched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What this rank writes."""

    state: str
    generators: Mapping[str, Any]
    snapshots: Sequence[Snapshot]


class CheckpointWriter:
    """Writes the checkpoints of one stage; all ranks call all methods.

    Args:
        folder: of the checkpoints.
        keep: how many of the newest are kept.
        ranks: who writes.
    """

    def __init__(self, folder: Path, keep: int, ranks: Ranks) -> None:
        self.folder = folder
        self.keep = keep
        self.ranks = ranks

    def write(self, target: Path, content: Content, gather: Gather) -> str | None:
        """Write a checkpoint; the line that says why it could not be done, on all ranks."""
        aside = self.folder / f"{target.name}.tmp"
        digests: dict[str, Digest] = {}
        actions = (
            lambda: self._prepare(aside),
            lambda: digests.update(self._write_part(aside, content)),
            lambda: self._publish(aside, target, digests, gather),
        )
        problem = next((each for each in (self.attempt(action, gather) for action in actions) if each), None)
        if problem is None:
            return None
        if self.ranks.is_main:
            shutil.rmtree(aside, ignore_errors=True)
        return self.told(target, problem)

    def told(self, target: Path, problem: str) -> str:
        """A line on a checkpoint that could not be written."""
        untouched = "those before it are untouched, and " if checkpoint_paths(self.folder) else ""
        return f"the checkpoint {target} could not be written: {problem}; {untouched}the same command goes on"

    def attempt(self, action: Callable[[], object], gather: Gather) -> str | None:
        """Run an action on this rank; the problem of any rank, on all of them."""
        problem = None
        try:
            action()
        except ERRORS as error:
            problem = reason_of(error, self.folder)
        return next((each for each in gather(problem) if each), None)

    def _prepare(self, aside: Path) -> None:
        if self.ranks.is_main:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)

    def _write_part(self, aside: Path, content: Content) -> dict[str, Digest]:
        digests: dict[str, Digest] = {}
        for snapshot in content.snapshots:
            digests |= snapshot.write(aside)
        others = [aside / generators_file(self.ranks.rank)]
        torch.save(content.generators, others[0])
        if self.ranks.is_main:
            others.append(aside / STATE_FILE)
            others[1].write_text(content.state)
        return digests | {path.name: digest_of(path) for path in others}

    def _publish(self, aside: Path, target: Path, digests: dict[str, Digest], gather: Gather) -> None:
        manifest: dict[str, Digest] = {}
        for part in gather(digests):
            manifest |= part
        if not self.ranks.is_main:
            return
        (aside / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1))
        if target.exists():
            _discard(target)
        aside.rename(target)
        for old in checkpoint_paths(self.folder)[: -self.keep]:
            _discard(old)


def generators_file(rank: int) -> str:
    """Name of the file with a rank's states of random generators."""
    return f"random-{rank:05d}.pt"


def _discard(path: Path) -> None:
    """Remove a checkpoint, first of all from where others look for one."""
    aside = path.with_name(f"{path.name}.old.tmp")
    path.rename(aside)
    # On network file systems files that somebody reads stay a while; the next resume removes what is left.
    shutil.rmtree(aside, ignore_errors=True)
