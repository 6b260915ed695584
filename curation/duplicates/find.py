"""Finding duplicates: pairs of clips that show the same seconds, and for each clip that is left out the one that stays.

A clip is left out only for a clip that stays and that it was itself found to be a copy of. So no chain of clips, each
like the next, is taken for one: where A is like B and B like C, but A not like C, then C stays if A is the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.clip.fingerprint import STEPS_PER_S
from curation.duplicates.agreement import agreement, is_mirrored, may_agree
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.neighbours import alike
from curation.duplicates.prints import Flags, Integers, Prints
from infra.bars import Told

EXACT, NEAR = "exact", "near"
"""Rules of the stage `deduplicate`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Clips that show the same seconds; the first of a pair is the better one."""

    first: Integers
    second: Integers
    distance: npt.NDArray[np.float64]
    """One minus the correlation of their courses."""
    shift_s: npt.NDArray[np.float64]
    """By how much the second begins later in the footage than the first."""
    num_compared: int
    """Pairs that look alike and were compared in time."""


@dataclass(frozen=True)
class Found:
    """What becomes of each clip."""

    prints: Prints
    kept: Integers
    """For each clip the row of the one that stays: its own where it stays itself."""
    distance: npt.NDArray[np.float64]
    """Of a clip that is left out, from the one that stays; 0 for an exact copy, and for a clip that stays."""
    is_exact: Flags
    """Whether a clip is left out as an exact copy of the one that stays."""
    pairs: Pairs

    @cached_property
    def is_left_out(self) -> Flags:
        """Whether a clip is left out."""
        return np.asarray(self.kept != np.arange(len(self.kept)))

    @cached_property
    def clusters(self) -> dict[int, list[int]]:
        """The clips that are left out by the row of the one that stays, the largest clusters first."""
        members: dict[int, list[int]] = {}
        for row in np.flatnonzero(self.is_left_out):
            members.setdefault(int(self.kept[row]), []).append(int(row))
        return dict(sorted(members.items(), key=lambda each: (-len(each[1]), each[0])))

    def rejected(self) -> Mapping[str, tuple[str, float, str]]:
        """By the key of each clip that is left out: the rule, the distance, the key of the one that stays."""
        keys = self.prints.keys
        return {
            keys[row]: (
                EXACT if self.is_exact[row] else NEAR,
                float(self.distance[row]),
                keys[self.kept[row]],
            )
            for row in np.flatnonzero(self.is_left_out)
        }


def find_duplicates(prints: Prints, config: DuplicatesConfig, read: Told = lambda _done, _of: None) -> Found:
    """Find which clips are copies of which.

    Args:
        prints: of the kept clips, the best first.
        config: thresholds.
        read: told how many of how many cells have been searched.
    """
    same = _first_of_content(prints)
    pairs = near_pairs(prints, config, read)
    kept, distance = np.arange(len(prints.keys)), np.zeros(len(prints.keys))
    # The best come first, so the first of a pair is settled before the second is looked at.
    order = np.lexsort((pairs.first, pairs.distance, pairs.second))
    for first, second, apart in zip(
        pairs.first[order].tolist(), pairs.second[order].tolist(), pairs.distance[order].tolist(), strict=True
    ):
        if kept[second] == second and kept[first] == first:
            kept[second], distance[second] = first, apart
    # A copy of a clip that is left out is left out for the same one.
    is_copy = same != np.arange(len(same))
    is_exact = is_copy & (kept[same] == same)
    kept[is_copy], distance[is_copy] = kept[same[is_copy]], distance[same[is_copy]]
    return Found(prints=prints, kept=kept, distance=distance, is_exact=is_exact, pairs=pairs)


def near_pairs(prints: Prints, config: DuplicatesConfig, read: Told = lambda _done, _of: None) -> Pairs:
    """Pairs of clips of different files that show the same seconds; of exact copies only the best is looked at.

    The clips of one file are stretches of it that follow one another, so they are not compared, nor is a crop with a
    clip that is not one.
    """
    is_asked = (_first_of_content(prints) == np.arange(len(prints.keys))) & (prints.content >= 0)

    def wanted(first: Integers, second: Integers) -> Flags:
        others = prints.sources[first] != prints.sources[second]
        return np.asarray(
            others & (prints.is_crop[first] == prints.is_crop[second]) & is_asked[first] & is_asked[second]
        )

    least = 1 - config.max_distance
    narrow = partial(may_agree, prints, max_lag=config.max_lag, least=least)
    searches = [(prints.looks, config.min_look)]
    if prints.embeddings.shape[1]:
        searches.append((prints.embeddings, config.min_embedding))
    found: list[tuple[npt.NDArray[Any], ...]] = []
    num_compared = 0
    for vectors, min_cosine in searches:
        for batch in alike(vectors, min_cosine, wanted, narrow, read):
            straight = ~is_mirrored(prints, *batch)
            ones, others = (rows[straight] for rows in batch)
            score, lag = agreement(prints, ones, others, config.max_lag)
            num_compared += len(ones)
            close = score >= least
            found.append((ones[close], others[close], 1.0 - score[close].astype(np.float64), lag[close]))
    columns = [np.concatenate([part[place] for part in found]) if found else np.zeros(0) for place in range(4)]
    # Both searches may have found a pair.
    _, once = np.unique(np.stack(columns[:2]), axis=1, return_index=True)
    first, second, distance, lag = (column[once] for column in columns)
    return Pairs(
        first=first.astype(np.int64),
        second=second.astype(np.int64),
        distance=np.maximum(distance, 0.0),
        shift_s=lag / STEPS_PER_S,
        num_compared=num_compared,
    )


def _first_of_content(prints: Prints) -> Integers:
    """For each clip the best one with the same exported picture: itself where it is that one, or has no fingerprint."""
    rows = np.arange(len(prints.keys))
    has = prints.content >= 0
    first = np.full(int(prints.content.max(initial=-1)) + 1, len(rows), np.int64)
    np.minimum.at(first, prints.content[has], rows[has])
    best = rows.copy()
    best[has] = first[prints.content[has]]
    return best
