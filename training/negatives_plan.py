"""Which human samples become failure cases, and which of them have already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.config import ConfigError
from curation.encoded import NEGATIVE, EncodedDirectory

HUMAN: Final = "human"
_COLUMNS: Final = (*("key", "source", "pool", "encoded", "bucket", "tar", "offset", "size", "wav_offset", "wav_size"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A human sample, where it lies, and what it would become."""

    key: str
    source: str
    bucket: str
    """`<frames>x<height>x<width>`."""
    tar: str
    offset: int
    size: int
    wav: tuple[int, int] | None
    """Offset and size of its sound."""

    @property
    def latent_size(self) -> tuple[int, int, int]:
        """Latent frames, height and width that the bucket stands for."""
        frames, height, width = (int(side) for side in self.bucket.split("x"))
        return 1 + (frames - 1) // 4, height // 16, width // 16

    def negative_key(self, settings: str) -> str:
        """Key of the failure case that is made of it with these settings."""
        return f"{self.key}-negative-{settings}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NegativesPlan:
    """What is to be done."""

    num_human: int
    """Human samples there are to choose from."""
    num_chosen: int
    """Those chosen: as many as asked for, if there are."""
    num_others: int
    """Failure cases of other settings, which stay."""
    units: tuple[tuple[str, tuple[Candidate, ...]], ...]
    """Commits to be made, each a name and the candidates of one bucket; what is committed is not among them."""

    @property
    def num_missing(self) -> int:
        """Clips to be made."""
        return sum(len(candidates) for _, candidates in self.units)


def plan_negatives(
    directory: EncodedDirectory, settings: str, *, count: int, seed: int, clips_per_commit: int
) -> NegativesPlan:
    """Choose human samples at random and leave out those whose failure case is committed.

    Samples are taken in the order of a hash of their key and the seed, so that the same ones are chosen whatever has
    been made so far, and a larger count only adds to them.

    Raises:
        ConfigError: there are no human samples.
    """
    table = directory.index(_COLUMNS)
    keys, pools, encoded = (table[name].to_pylist() if table.num_rows else [] for name in ("key", "pool", "encoded"))
    human = [row for row, pool in enumerate(pools) if pool == HUMAN and encoded[row]]
    if not human:
        raise ConfigError(
            f"{directory.path} holds no encoded samples of the pool {HUMAN}: nothing to make negatives of"
        )
    ordered = sorted(human, key=lambda row: (digest(seed, keys[row]), keys[row]))
    chosen = [_candidate(row) for row in table.take(ordered[:count]).to_pylist()]
    made = {key for key, pool in zip(keys, pools, strict=True) if pool == NEGATIVE}
    missing = [candidate for candidate in chosen if candidate.negative_key(settings) not in made]
    return NegativesPlan(
        num_human=len(human),
        num_chosen=len(chosen),
        num_others=sum(not key.endswith(f"-negative-{settings}") for key in made),
        units=tuple(_units(missing, settings, clips_per_commit)),
    )


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits, the same in every process."""
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _units(
    missing: Sequence[Candidate], settings: str, clips_per_commit: int
) -> list[tuple[str, tuple[Candidate, ...]]]:
    """Candidates of one bucket, so many at a time, under a name that no other set of candidates has."""
    units = []
    for bucket in sorted({candidate.bucket for candidate in missing}):
        same = [candidate for candidate in missing if candidate.bucket == bucket]
        for start in range(0, len(same), clips_per_commit):
            candidates = tuple(same[start : start + clips_per_commit])
            units.append((f"negative-{settings}-{digest(*(candidate.key for candidate in candidates))}", candidates))
    return units


def _candidate(row: dict[str, Any]) -> Candidate:
    wav = None if row.get("wav_offset") is None else (row["wav_offset"], row["wav_size"])
    return Candidate(**{name: row[name] for name in ("key", "source", "bucket", "tar", "offset", "size")}, wav=wav)
