"""The fingerprints of a run's kept clips, as arrays.

Legend: N clips, T steps of the longest course.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.clip.fingerprint import MOTION_CHANNELS
from curation.shards.columns import Floats, numbers, strings
from curation.shards.run_directory import RunDirectory
from infra.bars import Told

NEEDED: Final = (
    *("key", "source", "parent_key", "kept", "start_s", "end_s", "width", "height", "quality_score", "audio_kept"),
    *("content_hash", "look_print", "motion_print", "sound_print", "embedding_print"),
)
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Prints:
    """Kept clips, the best first: the order in which one is kept rather than another."""

    keys: npt.NDArray[np.object_]
    sources: Integers
    """A number for each source file."""
    is_crop: Flags
    """Whether curation itself has cropped the clip out of another one."""
    seconds: Floats
    content: Integers
    """A number for each exported picture; below 0 where there is no fingerprint."""
    looks: npt.NDArray[np.int8]
    """`(N, 42)`; zero for blank clips."""
    embeddings: npt.NDArray[np.int8]
    """`(N, D)`; zero for clips without one, and D is 0 where no clip has one."""
    courses: npt.NDArray[np.int8]
    """`(N, 4, T)`: motion, brightness, contrast and sound; zero after the clip's end, and where there is no sound."""
    steps: Integers
    """Length of each course; 0 where there is none."""
    has_sound: Flags

    @property
    def num_old(self) -> int:
        """Clips that were curated before there were fingerprints."""
        return int((self.content < 0).sum())

    @property
    def is_blank(self) -> Flags:
        """Clips whose picture shows nothing: of them only exact copies can be told."""
        return (self.content >= 0) & ~self.looks.any(1)


def read_prints(directory: RunDirectory, read: Told = lambda _done, _of: None) -> Prints:
    """The kept clips of a run, or of a version of it.

    Args:
        directory: of the run.
        read: told how many of how many shards have been read.

    Raises:
        ConfigError: a shard's index is damaged.
    """

    def kept(rows: pa.Table) -> Any:
        return pc.fill_null(rows["kept"], fill_value=False)

    table = directory.index(NEEDED, where=kept, told=read)
    return prints_of(table)


def prints_of(table: pa.Table) -> Prints:
    """The fingerprints of kept rows, put into the order of preference."""
    table = table.take(pa.array(_best_first(table)))
    hashes = strings(table, "content_hash")
    known = {value: number for number, value in enumerate(dict.fromkeys(hashes[hashes != None]))}  # noqa: E711
    courses, steps, has_sound = _courses(_bytes(table, "motion_print"), _bytes(table, "sound_print"))
    return Prints(
        keys=strings(table, "key"),
        sources=np.unique(strings(table, "source").astype(str), return_inverse=True)[1].astype(np.int64),
        is_crop=np.array([parent is not None for parent in strings(table, "parent_key")], bool),
        seconds=numbers(table, "end_s") - numbers(table, "start_s"),
        content=np.array([known.get(value, -1) for value in hashes], np.int64),
        looks=_vectors(_bytes(table, "look_print")),
        embeddings=_vectors(_bytes(table, "embedding_print")),
        courses=courses,
        steps=steps,
        has_sound=has_sound,
    )


def _best_first(table: pa.Table) -> Integers:
    """Rows by size of the picture, quality, whether they have sound, length, and key."""
    area = np.nan_to_num(numbers(table, "width") * numbers(table, "height"))
    quality = np.nan_to_num(numbers(table, "quality_score"), nan=-np.inf)
    sound = np.array([kept is True for kept in strings(table, "audio_kept")], bool)
    # To the hundredth: frames of copies begin at other fractions of a second.
    length = np.nan_to_num(np.round(numbers(table, "end_s") - numbers(table, "start_s"), 2))
    keys = np.unique(strings(table, "key").astype(str), return_inverse=True)[1]
    return np.lexsort((keys, -length, ~sound, -quality, -area)).astype(np.int64)


def _bytes(table: pa.Table, name: str) -> list[bytes | None]:
    if name not in table.column_names:
        return [None] * table.num_rows
    values: list[bytes | None] = table[name].to_pylist()
    return values


def _vectors(stored: Sequence[bytes | None]) -> npt.NDArray[np.int8]:
    width = max((len(each) for each in stored if each is not None), default=0)
    vectors = np.zeros((len(stored), width), np.int8)
    for row, each in enumerate(stored):
        if each is not None:
            vectors[row, : len(each)] = np.frombuffer(each, np.int8)
    return vectors


def _courses(motion: Sequence[bytes | None], sound: Sequence[bytes | None]) -> tuple[Any, Integers, Flags]:
    steps = np.array([len(each or b"") // MOTION_CHANNELS for each in motion], np.int64)
    courses = np.zeros((len(motion), MOTION_CHANNELS + 1, int(steps.max(initial=0))), np.int8)
    has_sound = np.zeros(len(motion), bool)
    for row, (moves, sounds) in enumerate(zip(motion, sound, strict=True)):
        if moves is None:
            continue
        courses[row, :MOTION_CHANNELS, : steps[row]] = np.frombuffer(moves, np.int8).reshape(MOTION_CHANNELS, -1)
        if sounds is not None:
            # Sound may be a step longer or shorter than the picture.
            heard = np.frombuffer(sounds, np.int8)[: steps[row]]
            courses[row, MOTION_CHANNELS, : len(heard)] = heard
            has_sound[row] = True
    return courses, steps, has_sound
