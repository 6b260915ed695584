"""How well `curation deduplicate` finds copies of clips, and tells other clips of the same recording from copies.

    SOUL_SHARED=../shared python -m bench.studies.duplicates --run RUN [--out DIR]

Every labelled real video is made once as it is and once in each of fourteen ways: re-encoded, scaled, shifted in time,
cropped, with other brightness, a logo, bars, and mirrored. All of these are curated into RUN as files of their own, and
their clips compared as `deduplicate` does. Clips that begin within 1.05 s of one another in the footage are the same;
clips of other footage, of seconds that do not overlap, and a clip and a mirrored one are not; the rest is not counted.
Everything is reported on one half of the videos: by the default threshold, and by one that is chosen on the other half,
so that 99 % of the pairs that are found there are the same. Beside it stands the same with pHash: the distance of
64-bit hashes of the thumbnails.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    default = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips"
    add = parser.add_argument
    add("--run", type=Path, required=True, metavar="RUN", help="where videos and clips are made; goes on where it was")
    add("--out", type=Path, metavar="DIR", help="write duplicates.json there (default: RUN/bench)")
    add("--seconds", type=float, default=12.0, metavar="S", help="of each video (default: %(default)g)")
    add("--short-edge", type=int, default=480, metavar="PX", help="videos are scaled to this (default: %(default)s)")
    add("--videos", type=int, default=100, metavar="N", help="labelled videos to take at most (default: %(default)s)")
    add("--workers", type=int, default=2, metavar="N", help="videos in work at a time (default: %(default)s)")
    parser.set_defaults(clips=default)


if __name__ == "__main__":
    sys.exit(run_alone("bench.studies.duplicates", __doc__, add_arguments))  # ahead of the imports that take seconds

import json
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bench.studies.duplicates_material import KINDS, ORIGINAL, curate, make_videos
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import find_duplicates, near_pairs
from curation.duplicates.prints import Prints, prints_of
from infra.config import ConfigError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SAME_S = 1.05
"""Clips that begin so near to one another in the footage are the same."""
APART_S = 0.5
"""Clips that have less than this in common are not."""
PRECISION = 0.99
"""For which thresholds are chosen."""
LARGEST_DISTANCE = 0.8
HASH_BITS = 64
USUAL_BITS = 10
"""In which two pictures usually may differ that are taken for one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What is known of all pairs of clips, as square arrays, and of which half a pair is."""

    is_same: Flags
    is_other: Flags
    to_original: Flags
    """Pairs of a clip of an original and one of any copy."""
    half: npt.NDArray[np.int64]
    """0 or 1 for each clip; pairs of both halves are left out."""
    kinds: npt.NDArray[np.object_]
    is_same_video: Flags


def run(options: argparse.Namespace) -> None:
    """Make, curate, compare and print.

    Raises:
        ConfigError: there are no labelled clips.
    """
    console = Console(markup=False, highlight=False)
    folder = options.run / "videos"
    videos = make_videos(
        options.clips, folder, most=options.videos, most_s=options.seconds, short_edge_px=options.short_edge,
        workers=options.workers,
    )  # fmt: skip
    directory = curate(videos, options.run, options.workers, console)
    table = directory.index()
    table = table.filter(table["kept"])
    if not table.num_rows:
        raise ConfigError("no clip was kept")
    prints = prints_of(table)
    rows = {row["key"]: row for row in table.to_pylist()}
    ordered = [rows[key] for key in prints.keys]
    truth = truth_of(ordered)
    default = DuplicatesConfig()
    courses, hashes = course_distances(prints), hash_distances(ordered)
    measured = {
        "courses, default": measure(courses, truth, default.max_distance),
        "courses, chosen": measure(courses, truth),
        "pHash, 10 bits": measure(hashes, truth, USUAL_BITS / HASH_BITS),
        "pHash, chosen": measure(hashes, truth),
    }
    found = find_duplicates(prints, default)
    left_out = np.flatnonzero(found.is_left_out)
    wrong = [int(row) for row in left_out if truth.is_other[row, found.kept[row]]]
    document = {
        "videos": len({row["source"] for row in ordered}),
        "clips": len(ordered),
        "clips_without_course": int((prints.steps == 0).sum()),
        "bytes_of_a_print": float(np.mean([_size(row) for row in ordered])),
        "methods": measured,
        "deduplicate": {
            "max_distance": default.max_distance,
            "left_out": len(left_out),
            "left_out_for_another_clip": len(wrong),
            "examples": [[prints.keys[row], prints.keys[found.kept[row]]] for row in wrong[:10]],
        },
    }
    tell(console, document)
    out = options.out or options.run / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "duplicates.json").write_text(json.dumps(document, indent=1) + "\n")


def truth_of(rows: list[dict[str, object]]) -> Truth:
    """What is known of the pairs, from the names of their files and their times."""
    names = [Path(str(row["source"])).stem.split("--") for row in rows]
    videos = np.array([name for name, _ in names], object)
    kinds = np.array([kind.replace("_", " ") for _, kind in names], object)
    skipped = np.array([KINDS[kind].skip_s for kind in kinds])
    starts, ends = (np.array([row[name] for row in rows], np.float64) + skipped for name in ("start_s", "end_s"))
    straight = np.array([KINDS[kind].is_copy for kind in kinds])
    same_video = videos[:, None] == videos[None]
    alike = straight[:, None] == straight[None]
    apart_s = np.abs(starts[:, None] - starts[None])
    common_s = np.minimum(ends[:, None], ends[None]) - np.maximum(starts[:, None], starts[None])
    another_file = ~(same_video & (kinds[:, None] == kinds[None]))
    upper = np.triu(np.ones((len(rows), len(rows)), bool), 1) & another_file
    originals = kinds == ORIGINAL
    order = {name: number % 2 for number, name in enumerate(sorted(set(videos)))}
    return Truth(
        is_same=upper & same_video & alike & (apart_s <= SAME_S),
        is_other=another_file & (~same_video | ~alike | (common_s < APART_S)),
        to_original=originals[:, None] ^ originals[None],
        half=np.array([order[name] for name in videos]),
        kinds=kinds,
        is_same_video=same_video,
    )


def course_distances(prints: Prints) -> Floats:
    """Square array of the distances that `deduplicate` finds; 1 where it finds none."""
    distances = np.ones((len(prints.keys), len(prints.keys)))
    pairs = near_pairs(prints, DuplicatesConfig(max_distance=LARGEST_DISTANCE))
    distances[pairs.first, pairs.second] = distances[pairs.second, pairs.first] = pairs.distance
    same = (prints.content[:, None] == prints.content[None]) & (prints.content >= 0)[:, None]
    distances[same] = 0.0
    return distances


def hash_distances(rows: list[dict[str, object]]) -> Floats:
    """Square array of the share of bits in which pHashes differ."""
    hashes = np.stack([perceptual_hash(row["thumbnail"]) for row in rows])
    return np.asarray((hashes[:, None] != hashes[None]).mean(-1), np.float64)


def perceptual_hash(jpeg: object) -> Flags:
    """`(64,)`: which low frequencies of a picture lie above their median (pHash)."""
    assert isinstance(jpeg, bytes)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    return np.asarray(low > np.median(low[1:]))


def measure(distances: Floats, truth: Truth, threshold: float | None = None) -> dict[str, object]:
    """Count on the second half, by a threshold that is given or else chosen on the first."""
    halves = [(truth.half[:, None] == half) & (truth.half[None] == half) for half in (0, 1)]
    upper = np.triu(np.ones_like(truth.is_same), 1)
    same, other = (upper & each for each in (truth.is_same, truth.is_other))
    chosen = choose(distances[same & halves[0]], distances[other & halves[0]]) if threshold is None else threshold
    within = distances <= chosen
    second = halves[1]
    right, wrong = int((within & same & second).sum()), int((within & other & second).sum())
    recall = {}
    for kind in KINDS:
        of_kind = same & second & truth.to_original & ((truth.kinds[:, None] == kind) | (truth.kinds[None] == kind))
        if kind != ORIGINAL and KINDS[kind].is_copy:
            recall[kind] = {"found": int((within & of_kind).sum()), "of": int(of_kind.sum())}
    mirrored = (truth.kinds[:, None] == "mirrored") ^ (truth.kinds[None] == "mirrored")
    negatives = {
        "mirrored": other & second & truth.is_same_video & mirrored,
        "other seconds of one recording": other & second & truth.is_same_video & ~mirrored,
        "other recordings": other & second & ~truth.is_same_video,
    }
    return {
        "threshold": float(chosen),
        "precision": right / max(1, right + wrong),
        "pairs_found": right + wrong,
        "recall": recall,
        "found_wrongly": {
            name: {"found": int((within & those).sum()), "of": int(those.sum())} for name, those in negatives.items()
        },
    }


def choose(same: Floats, other: Floats) -> float:
    """The largest distance up to which at least 99 % of the pairs are the same; below all where there is none."""
    values = np.unique(np.concatenate([same, other]))
    values = values[values < 1.0]
    found = np.searchsorted(np.sort(same), values, side="right")
    wrong = np.searchsorted(np.sort(other), values, side="right")
    good = values[found >= PRECISION * (found + wrong)]
    return float(good.max()) if len(good) else -1.0


def tell(console: Console, document: Mapping[str, object]) -> None:
    """Print the table."""
    methods = document["methods"]
    assert isinstance(methods, Mapping)
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("")
    for name in methods:
        grid.add_column(name, justify="right")
    grid.add_row("threshold", *(f"{each['threshold']:.3f}" for each in methods.values()))
    grid.add_row("precision", *(f"{each['precision']:.4f} of {each['pairs_found']:,}" for each in methods.values()))
    first = next(iter(methods.values()))
    for part, title in (("recall", ""), ("found_wrongly", "wrongly: ")):
        for kind in first[part]:
            counts = [each[part][kind] for each in methods.values()]
            grid.add_row(f"{title}{kind}", *(_share(each["found"], each["of"]) for each in counts))
    console.print(f"{document['videos']} videos, {document['clips']} clips, a print of {_bytes(document)} bytes")
    console.print(grid)
    console.print(f"deduplicate, as it is by default: {json.dumps(document['deduplicate'])}", soft_wrap=True)


def _share(found: int, of: int) -> str:
    return f"{found:,} of {of:,} ({found / of:.3f})" if of else "none"


def _bytes(document: Mapping[str, object]) -> str:
    size = document["bytes_of_a_print"]
    assert isinstance(size, float)
    return f"{size:.0f}"


def _size(row: Mapping[str, object]) -> int:
    names = ("content_hash", "look_print", "motion_print", "sound_print", "embedding_print")
    values = (row.get(name) for name in names)
    return sum(len(value) for value in values if isinstance(value, str | bytes))
