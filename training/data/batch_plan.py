"""Which samples make up which effective batch: the same for any number of ranks, and known in advance.

An epoch is one pass over the pool with the largest weight; the other pools are drawn in proportion to their weights.
Every sample of a pool is seen once before any is seen again. A batch has samples of one bucket; what is left of a
bucket at the end of an epoch makes a smaller batch, so that nothing is dropped.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from curation.encoding.bucket import Bucket
from infra.config import ConfigError
from training.data.index import Integers, SampleIndex

_ORDER: Final = 0
_POOL: Final = 1
"""Set apart the random numbers of the order within an epoch and of the order within a pool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """One sample in one batch."""

    row: int
    """Row of the index."""
    number: int
    """Number of the draw since training began, from 0: everything random about the draw follows from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedBatch:
    """One effective batch: one optimizer step."""

    epoch: int
    index: int
    """Number of the batch within its epoch."""
    bucket: Bucket
    draws: tuple[Draw, ...]
    """At most the effective batch size; fewer at the end of a bucket."""
    is_last: bool = False
    """Whether it ends its epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """All epochs of a training.

    Raises:
        ConfigError: a pool with a weight has no samples, or no pool has any.
    """

    samples: SampleIndex = field(repr=False)
    weights: Mapping[str, float]
    """Share of each pool in the draws, relative to each other; pools not named are left out."""
    batch_size: int
    """Samples of an effective batch, over all ranks and accumulation steps."""
    seed: int

    def __post_init__(self) -> None:
        if not self._shares:
            raise ConfigError("no pool has a weight above 0 (data.pools)")
        for pool in self._shares:
            if not len(self.samples.pools.get(pool, ())):
                there = ", ".join(f"{name} {len(rows)}" for name, rows in self.samples.pools.items() if len(rows))
                raise ConfigError(
                    f"the pool {pool!r} has a weight but no samples to train on (there are: {there or 'none'}); encode "
                    f"some, or leave it out with --set data.pools.{pool}=0"
                )

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes which samples a batch has."""
        parts = (self.samples.fingerprint, self.batch_size, self.seed, sorted(self._shares.items()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    @property
    def _shares(self) -> dict[str, float]:
        total = sum(weight for weight in self.weights.values() if weight > 0)
        return {pool: weight / total for pool, weight in self.weights.items() if weight > 0}

    @property
    def counts(self) -> dict[str, int]:
        """Draws of each pool in an epoch."""
        anchor, share = max(self._shares.items(), key=lambda item: item[1])
        total = len(self.samples.pools[anchor]) / share
        return {pool: max(1, round(total * share)) for pool, share in self._shares.items()}

    def epoch(self, epoch: int) -> Iterator[PlannedBatch]:
        """The batches of an epoch, in order."""
        batches = self._batches(epoch)
        planned = next(batches)
        for following in batches:
            yield planned
            planned = following
        yield replace(planned, is_last=True)

    def _batches(self, epoch: int) -> Iterator[PlannedBatch]:
        rows = self._rows(epoch)
        first = epoch * len(rows)
        waiting: dict[Bucket, list[Draw]] = {}
        index = 0
        for position, (row, bucket) in enumerate(zip(rows.tolist(), self.samples.buckets(rows), strict=True)):
            draws = waiting.setdefault(bucket, [])
            draws.append(Draw(row=row, number=first + position))
            if len(draws) == self.batch_size:
                yield PlannedBatch(epoch=epoch, index=index, bucket=bucket, draws=tuple(draws))
                index += 1
                draws.clear()
        for bucket, draws in sorted(waiting.items(), key=lambda item: str(item[0])):
            if draws:
                yield PlannedBatch(epoch=epoch, index=index, bucket=bucket, draws=tuple(draws))
                index += 1

    def num_batches(self, epoch: int) -> int:
        """Optimizer steps of an epoch."""
        per_bucket = Counter(self.samples.buckets(self._rows(epoch)))
        return sum(-(-count // self.batch_size) for count in per_bucket.values())

    def num_left(self, epochs: float, *, epoch: int = 0, batch: int = 0) -> int:
        """Optimizer steps that are left of `epochs` epochs, from batch `batch` of epoch `epoch` on.

        With one and a half epochs, half of the second one is done.
        """
        left = 0
        for number in range(epoch, math.ceil(epochs)):
            steps = math.ceil(round(min(1.0, epochs - number) * self.num_batches(number), 6))
            left += max(0, steps - (batch if number == epoch else 0))
        return left

    def _rows(self, epoch: int) -> Integers:
        """Rows of the index in the order in which an epoch draws them.

        The pools are evenly interleaved: of the n draws of a pool, number i comes at a random moment within the i-th of
        n equal parts of the epoch.
        """
        rows, moments = [], []
        for number, (pool, count) in enumerate(sorted(self.counts.items())):
            rows.append(self._rows_of(pool, number, first=epoch * count, count=count))
            within_part = np.random.default_rng([self.seed, _ORDER, number, epoch]).random(count)
            moments.append((np.arange(count) + within_part) / count)
        in_order = np.argsort(np.concatenate(moments), kind="stable")
        return np.concatenate(rows)[in_order]

    def _rows_of(self, pool: str, number: int, *, first: int, count: int) -> Integers:
        """Rows of the draws `first` … `first + count − 1` from a pool, counted since training began.

        A pool is gone through again and again, in another order each time. An epoch may begin and end in the middle of
        such a pass.
        """
        samples = self.samples.pools[pool]
        first_pass, last_pass = first // len(samples), (first + count - 1) // len(samples)
        shuffled = [
            np.random.default_rng([self.seed, _POOL, number, each]).permutation(samples)
            for each in range(first_pass, last_pass + 1)
        ]
        num_before = first - first_pass * len(samples)
        return np.concatenate(shuffled)[num_before : num_before + count]
