"""Which human samples are to become failure cases, and which of them have become one already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.encoding.encoded import NEGATIVE, EncodedDirectory
from infra.config import ConfigError
from training.data.index import COLUMNS, Location, location_of

HUMAN: Final = "human"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The human samples that are to become failure cases, and how many have become one."""

    num_human: int
    """Human samples that could be chosen."""
    num_chosen: int
    """Human samples that were chosen: as many as were asked for, or all."""
    num_others: int
    """Failure cases of other settings, which stay."""
    commits: tuple[tuple[str, tuple[Location, ...]], ...]
    """The commits that are still to be made, each with its name and its candidates, which are of one bucket."""

    @property
    def num_missing(self) -> int:
        """Clips to be made."""
        return sum(len(candidates) for _, candidates in self.commits)


def choose_candidates(
    directory: EncodedDirectory, settings: str, *, count: int, seed: int, clips_per_commit: int
) -> Candidates:
    """Choose human samples at random and leave out those whose failure case is committed.

    Samples are taken in the order of a hash of their key and the seed, so that the same ones are chosen whatever has
    been made so far, and a larger count only adds to them.

    Raises:
        ConfigError: there are no human samples.
    """
    table = directory.index(COLUMNS)
    keys, pools, encoded = (table[name].to_pylist() if table.num_rows else [] for name in ("key", "pool", "encoded"))
    human = [row for row, pool in enumerate(pools) if pool == HUMAN and encoded[row]]
    if not human:
        raise ConfigError(
            f"{directory.path} holds no encoded samples of the pool {HUMAN}: nothing to make negatives of"
        )
    ordered = sorted(human, key=lambda row: (digest(seed, keys[row]), keys[row]))
    chosen = [location_of(row) for row in table.take(ordered[:count]).to_pylist()]
    made = {key for key, pool in zip(keys, pools, strict=True) if pool == NEGATIVE}
    missing = [candidate for candidate in chosen if negative_key(candidate, settings) not in made]
    return Candidates(
        num_human=len(human),
        num_chosen=len(chosen),
        num_others=sum(not key.endswith(f"-negative-{settings}") for key in made),
        commits=tuple(_commits(missing, settings, clips_per_commit)),
    )


def negative_key(location: Location, settings: str) -> str:
    """Key of the failure case that is made of a sample with these settings."""
    return f"{location.key}-negative-{settings}"


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits, the same in every process."""
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _commits(
    missing: Sequence[Location], settings: str, clips_per_commit: int
) -> list[tuple[str, tuple[Location, ...]]]:
    """Commits of up to `clips_per_commit` candidates of one bucket, each with a name that no other commit has."""
    commits = []
    for bucket in sorted({candidate.bucket for candidate in missing}, key=str):
        same = [candidate for candidate in missing if candidate.bucket == bucket]
        for start in range(0, len(same), clips_per_commit):
            candidates = tuple(same[start : start + clips_per_commit])
            commits.append((f"negative-{settings}-{digest(*(candidate.key for candidate in candidates))}", candidates))
    return commits
