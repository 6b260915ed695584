"""How far two clips go alike in time, over all shifts of one against the other.

Legend: P pairs, C channels, T steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from curation.clip.fingerprint import COURSE_UNIT, IS_MIRRORED, MOTION_CHANNELS
from curation.duplicates.prints import Flags, Integers, Prints

Floats = npt.NDArray[np.float32]

WEIGHTS: Final = np.array([1.7, 0.65, 0.65, 1.5], np.float32)
"""Of motion, brightness, contrast and sound. How much moves survives low bitrates, and sound what is done to the
picture [re-encoded real clips]."""
NOISE: Final = 0.15
"""Added to the energy of each channel and step, so that two clips in which little happens do not agree by chance."""
LEAST_STEPS: Final = 25
"""Two seconds have to be compared, or no shift is tried."""
PAIRS_AT_ONCE: Final = 2048


def agreement(
    prints: Prints, first: Integers, second: Integers, max_lag: int
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """How well pairs of clips agree where they agree best, -1 to 1, and by how many steps the second begins later.

    All channels are correlated together. Sound counts where both have it, and only if that makes them more alike: a
    copy may have been given other sound. Clips without a course do not agree.

    Args:
        prints: of the clips.
        first: `(P,)` rows.
        second: `(P,)` rows.
        max_lag: the largest shift that is tried, in steps.
    """
    best, lags = np.full(len(first), -1.0, np.float32), np.zeros(len(first))
    for begin in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(begin, begin + PAIRS_AT_ONCE)
        best[part], lags[part] = _agreement(prints, first[part], second[part], max_lag)
    return best, lags


def may_agree(prints: Prints, rows: Integers, columns: Integers, max_lag: int, least: float) -> Flags:
    """`(rows, columns)`: which pairs of two groups may agree by `least`, by one matrix product for each shift.

    It is quick because it takes the energy of whole courses, not of the part that two have in common, so it asks for
    less than `least`.
    """
    one, other = (_scaled(prints, each) for each in (rows, columns))
    silent = slice(0, MOTION_CHANNELS)
    found = np.zeros((len(rows), len(columns)), bool)
    lengths = [_lengths(each, silent) for each in (one, other)], [_lengths(each, slice(None)) for each in (one, other)]
    width = one.shape[2]
    for lag in range(-max_lag, max_lag + 1):
        ones, others = one[:, :, max(0, lag) : width + min(0, lag)], other[:, :, max(0, -lag) : width - max(0, lag)]
        moves = _product(ones[:, silent], others[:, silent])
        sounds = _product(ones[:, MOTION_CHANNELS:], others[:, MOTION_CHANNELS:])
        for products, (left, right) in zip((moves, moves + sounds), lengths, strict=True):
            found |= products > (QUICK * least) * left[:, None] * right[None]
    return found


QUICK: Final = 0.6
"""A second of shift and an end of a second take a third of 4.5 s, and with it of the product."""


def is_mirrored(prints: Prints, first: Integers, second: Integers) -> Flags:
    """`(P,)`: whether the one looks more like the other's mirror image than like the other."""
    one, other = (prints.looks[rows].astype(np.float32) for rows in (first, second))
    # Mirroring changes the sign of these, so the two products differ by twice theirs.
    return np.asarray((one * other)[:, IS_MIRRORED].sum(1) < 0)


def _agreement(
    prints: Prints, first: Integers, second: Integers, max_lag: int
) -> tuple[Floats, npt.NDArray[np.float64]]:
    one, other = _scaled(prints, first), _scaled(prints, second)
    steps, others = prints.steps[first], prints.steps[second]
    both = prints.has_sound[first] & prints.has_sound[second]
    width = one.shape[2]
    behind = _running(np.square(other))
    best, lags = np.full(len(first), -1.0, np.float32), np.zeros(len(first))
    # A copy that begins half a step later is described by other steps, so one is looked at between its steps too.
    for course, between in ((one, 0.0), (_half_way(one), 0.5)):
        ahead = _running(np.square(course))
        for lag in sorted(range(-max_lag, max_lag + 1), key=abs):
            begin, end = max(0, lag), np.minimum(steps - (between > 0), others + lag)
            enough = end - begin >= LEAST_STEPS
            if not enough.any():
                continue
            product = np.einsum(
                "pct,pct->pc",
                course[:, :, max(0, lag) : width + min(0, lag)],
                other[:, :, max(0, -lag) : width - max(0, lag)],
            )
            left, right = _between(ahead, begin, end, enough), _between(behind, begin - lag, end - lag, enough)
            alike = _correlation(product, left, right, np.where(enough, end - begin, 1), both)
            better = enough & (alike > best)
            best[better], lags[better] = alike[better], lag + between
    return best, lags


def _half_way(courses: Floats) -> Floats:
    """`(P, 4, T)`: the courses half a step later, by a cubic through four steps; nothing after the last but one."""
    padded = np.pad(courses, ((0, 0), (0, 0), (1, 2)))
    before, now, after, later = (padded[:, :, at : at + courses.shape[2]] for at in range(4))
    return np.asarray((9 * (now + after) - (before + later)) / 16, np.float32)


def _correlation(product: Floats, left: Floats, right: Floats, steps: Integers, both: Flags) -> Floats:
    """`(P,)`: the correlation of motion, or of motion and sound together where that is higher."""

    def of(channels: slice) -> Floats:
        top, one, other = (each[:, channels].sum(1) for each in (product, left, right))
        floor = NOISE * float(WEIGHTS[channels].sum()) * steps
        return np.asarray(top / np.sqrt((one + floor) * (other + floor)), np.float32)

    moves = of(slice(0, MOTION_CHANNELS))
    heard = of(slice(None))
    return np.asarray(np.where(both, np.maximum(moves, heard), moves), np.float32)


def _scaled(prints: Prints, rows: Integers) -> Floats:
    """`(P, 4, T)`: courses in typical deviations, each channel with its weight."""
    return np.asarray(prints.courses[rows].astype(np.float32) * (np.sqrt(WEIGHTS)[:, None] / COURSE_UNIT), np.float32)


def _lengths(courses: Floats, channels: slice) -> Floats:
    part = courses[:, channels]
    return np.asarray(np.sqrt(np.square(part).sum((1, 2)) + 1e-6), np.float32)


def _product(one: Floats, other: Floats) -> Floats:
    return np.asarray(one.reshape(len(one), -1) @ other.reshape(len(other), -1).T, np.float32)


def _running(values: Floats) -> Floats:
    """`(P, C, T + 1)`: sums up to each step."""
    return np.concatenate([np.zeros((*values.shape[:2], 1), np.float32), np.cumsum(values, axis=2)], axis=2)


def _between(running: Floats, begin: Integers | int, end: Integers, enough: Flags) -> Floats:
    """`(P, C)`: sums from one step to another; of pairs that have nothing in common, of nothing."""
    rows = np.arange(len(running))
    ends = np.where(enough, end, 0)
    begins = np.where(enough, begin, 0)
    return np.asarray(running[rows, :, ends] - running[rows, :, begins], np.float32)
