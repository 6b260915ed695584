"""What a run has been made from: the sample bucket or a person's own videos, never both, and from where."""

from __future__ import annotations

import json
from pathlib import Path

from curation.config import ConfigError
from curation.shards import RunDirectory
from curation.storage import filesystem, is_local, join, read_bytes, write_atomically

INPUTS_FILE = "inputs.json"
BUCKET = "bucket"
"""Folder of a run that holds the sample bucket, and shows that the run was made from it."""


class RunInputs:
    """The inputs that a run has had."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.bucket = Path(run) / BUCKET

    @property
    def is_sample(self) -> bool:
        """Whether the run was made from the sample bucket."""
        return is_local(self.run) and self.bucket.is_dir()

    def known(self) -> list[str]:
        """What has been curated into the run, as absolute paths and URIs, in order."""
        try:
            return [str(place) for place in json.loads(read_bytes(join(self.run, INPUTS_FILE)))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{join(self.run, INPUTS_FILE)} cannot be read: {error}") from error

    def check(self, location: str | None) -> str | None:
        """Refuse to mix the sample bucket with anything else.

        Args:
            location: what is to be curated; None for the sample bucket.

        Returns:
            A line for people when the run has had other inputs so far; None when there is nothing to tell.

        Raises:
            ConfigError: one of the two is the sample bucket, the other is not.
        """
        is_bucket = location is None or (is_local(location) and Path(location).resolve() == self.bucket.resolve())
        if self.is_sample and not is_bucket:
            raise ConfigError(
                f"{self.run} holds the clips of the sample bucket: give your own videos another --run (RUN=)"
            )
        known = self.known()
        if is_bucket:
            if not self.is_sample and (known or RunDirectory(self.run).names()):
                of = f" of {', '.join(known)}" if known else ""
                raise ConfigError(f"{self.run} holds clips{of}: give INPUT, or the sample bucket another --run (RUN=)")
            return None
        assert location is not None
        if known and absolute(location) not in known:
            return f"note: {self.run} holds clips of {', '.join(known)}; those of {absolute(location)} join them"
        return None

    def remember(self, location: str) -> None:
        """Add an input; one that is known is written once."""
        known = self.known()
        if absolute(location) not in known:
            write_atomically(join(self.run, INPUTS_FILE), json.dumps([*known, absolute(location)], indent=1).encode())


def absolute(location: str) -> str:
    """A path that means the same from any directory, or the URI."""
    if "://" in location or not is_local(location):
        return location
    _, plain = filesystem(location)
    return str(plain)
