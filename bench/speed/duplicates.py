"""How long finding duplicates takes among a million clips, against comparing each with each.

    python -m bench.speed.duplicates --clips 1000000

Fingerprints are made: recordings of twenty clips that look nearly the same, a twentieth of them there twice with noise
and a shift; one studio with a fiftieth of all clips in files of a hundred; and blank clips. The copies that are found
are counted. The reference compares random pairs in time, as many as a second allows, and is extrapolated to all pairs.
Seconds are the processor's, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import sys

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--clips", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is made (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.duplicates", __doc__, add_arguments))  # ahead of the imports that take seconds

import resource
import time

import numpy as np
import numpy.typing as npt

from curation.clip.fingerprint import COURSE_UNIT, IN_A_LOOK, MOTION_CHANNELS
from curation.duplicates.agreement import agreement
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import find_duplicates
from curation.duplicates.prints import Integers, Prints

CLIPS_OF_A_RECORDING = 20
CLIPS_OF_AN_EPISODE = 100
COPIED = 0.05
STUDIO, BLANK = 0.02, 0.005
STEPS = 56
"""4.5 s."""
LARGEST_SHIFT = 12
"""Steps: a second."""
NOISE = 0.6
"""Deviation of the noise of a copy's course, of which 1 is the course's own: they correlate by 0.74 all in all."""
MADE_AT_ONCE = 50_000


def run(options: argparse.Namespace) -> None:
    """Make the fingerprints, find the copies, print.

    Raises:
        ValueError: too few clips for a copy among them.
    """
    if options.clips < 2000:
        raise ValueError(f"--clips must be at least 2000, got {options.clips}")
    random = np.random.default_rng(options.seed)
    prints, copied = make_prints(options.clips, random)
    start = time.process_time()
    found = find_duplicates(prints, DuplicatesConfig())
    took_s = time.process_time() - start
    right = found.kept[copied[:, 1]] == copied[:, 0]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{options.clips:,} clips: {took_s:.1f} s of all cores, {found.pairs.num_compared:,} pairs compared in time; "
        f"{int(right.sum()):,} of {len(copied):,} copies found, {int(found.is_left_out.sum() - right.sum()):,} others "
        f"left out; peak {peak_gb:.2f} GB, making them included"
    )
    pairs, brute_s = _brute_force(prints, random)
    all_pairs = options.clips * (options.clips - 1) / 2
    print(
        f"each with each: {pairs:,} random pairs took {brute_s:.2f} s; all {all_pairs:.3g}, extrapolated, "
        f"{brute_s / pairs * all_pairs / 3600:,.1f} hours, {brute_s / pairs * all_pairs / took_s:,.0f} × as long"
    )


def make_prints(clips: int, random: np.random.Generator) -> tuple[Prints, Integers]:
    """Fingerprints, and `(copies, 2)`: the row of the clip and that of its copy."""
    blank, studio = round(BLANK * clips), round(STUDIO * clips)
    copies = round(COPIED * clips)
    plain = clips - blank - studio - copies
    sources = np.concatenate([
        np.arange(plain) // CLIPS_OF_A_RECORDING,
        10_000_000 + np.arange(studio) // CLIPS_OF_AN_EPISODE,
        20_000_000 + np.arange(blank),
    ])  # fmt: skip
    looks, courses = _made(sources, random)
    looks[plain + studio :] = 0
    copied = np.sort(random.choice(plain + studio, copies, replace=False))
    looks = np.concatenate([looks, _noisy(looks[copied], 8, random)])
    courses = np.concatenate([courses, _shifted(courses[copied], random)])
    made = Prints(
        keys=np.arange(clips).astype(object),
        sources=np.concatenate([sources, 30_000_000 + sources[copied]]),
        is_crop=np.zeros(clips, bool),
        seconds=np.full(clips, STEPS / 12.5),
        content=np.arange(clips),
        looks=looks,
        embeddings=np.zeros((clips, 0), np.int8),
        courses=courses,
        steps=np.full(clips, STEPS),
        has_sound=np.ones(clips, bool),
    )
    return made, np.stack([copied, np.arange(clips - copies, clips)], axis=1)


def _made(sources: Integers, random: np.random.Generator) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Looks, nearly equal within a recording and within the studio, and courses that nothing connects."""
    scene = np.where((sources >= 10_000_000) & (sources < 20_000_000), -1, sources)
    _, numbers = np.unique(scene, return_inverse=True)
    looks = random.integers(-90, 90, (int(numbers.max()) + 1, int(IN_A_LOOK.sum()))).astype(np.int8)
    courses = np.empty((len(sources), MOTION_CHANNELS + 1, STEPS), np.int8)
    for begin in range(0, len(sources), MADE_AT_ONCE):
        part = courses[begin : begin + MADE_AT_ONCE]
        part[:] = _quantised(random.standard_normal(part.shape, np.float32))
    return _noisy(looks[numbers], 8, random), courses


def _noisy(looks: npt.NDArray[np.int8], levels: int, random: np.random.Generator) -> npt.NDArray[np.int8]:
    moved = looks.astype(np.int16) + random.integers(-levels, levels + 1, looks.shape, np.int16)
    return np.asarray(np.clip(moved, -127, 127), np.int8)


def _shifted(courses: npt.NDArray[np.int8], random: np.random.Generator) -> npt.NDArray[np.int8]:
    """Copies: up to a second later, what follows new, and noise over all."""
    shifts = random.integers(0, LARGEST_SHIFT + 1, len(courses))
    later = random.standard_normal(courses.shape, np.float32)
    for shift in range(LARGEST_SHIFT + 1):
        rows = shifts == shift
        later[rows, :, : STEPS - shift] = courses[rows][:, :, shift:] / COURSE_UNIT
    return _quantised((later + NOISE * random.standard_normal(later.shape, np.float32)) / np.sqrt(1 + NOISE**2))


def _quantised(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    return np.asarray(np.clip(np.rint(values * COURSE_UNIT), -127, 127), np.int8)


def _brute_force(prints: Prints, random: np.random.Generator) -> tuple[int, float]:
    """How many pairs were compared in about a second or more, and the seconds."""
    done, start = 0, time.process_time()
    while time.process_time() - start < 1.0:
        first, second = random.integers(0, len(prints.keys), (2, 4096))
        agreement(prints, first, second, DuplicatesConfig().max_lag)
        done += len(first)
    return done, time.process_time() - start
