"""What looking through a large run costs: first page, search, sort and filter over a made ledger.

    python -m bench.speed.browse [--clips 100000]

The ledger has one Parquet file for every fifty clips, with the columns, scores and thumbnails that a run has. The real
server answers on loopback. The reference is Arrow reading the same columns from one Parquet file of all clips, which
any tool that keeps nothing in memory would have to do for each question.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--clips", type=int, default=100_000, help="rows of the ledger (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=5, help="of each question; medians are told (default: %(default)s)"
    )


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.browse", __doc__, add_arguments))  # ahead of the imports that take seconds

import json
import resource
import statistics
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.browse.collection import LEFT_OUT, Collection, open_collection
from curation.browse.server import serving
from curation.shards.clip_table import COLUMNS
from curation.shards.run_directory import RunDirectory

PER_SHARD: Final = 50
CLIPS_PER_SOURCE: Final = 10
NUM_SCORES: Final = 45
QUESTIONS: Final = (
    ("first page", "api/clips"),
    ("search for two words", "api/clips?q=camera+walk"),
    ("sort by a score", "api/clips?sort=-score_07"),
    ("sort by a text", "api/clips?sort=source"),
    ("kept, within a range, sorted", "api/clips?state=kept&min.score_03=0.5&sort=-score_11"),
    ("one rule, page 100", "api/clips?rule=stage_2/rule_0&page=100"),
    ("how a score is spread", "api/columns/score_07?state=kept"),
)
BRIEFS: Final = ("one person talking; the camera is static", "two people walk; the camera pans", "a person sings")


def run(options: argparse.Namespace) -> None:
    """Make the ledger, ask, and print seconds and ratios."""
    with tempfile.TemporaryDirectory(prefix="soul-browse-") as folder:
        run_ = Path(folder) / "run"
        thumbnail_kb = write_ledger(run_, options.clips)
        print(f"{options.clips:,} clips, a thumbnail of {thumbnail_kb:.1f} kB each")
        began_s = time.perf_counter()
        collection = open_collection(str(run_), lambda _done, _of: None)
        print(
            f"{'read once at the start':<32}{time.perf_counter() - began_s:7.2f} s, "
            f"{collection.table.nbytes / 1e6:,.0f} MB in memory, "
            f"process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:,.1f} GB at most"
        )
        scan_s = reference(collection, Path(folder) / "all.parquet", options.repeats)
        print(f"{'reference: Arrow reads all rows':<32}{scan_s:7.3f} s")
        with serving(collection) as address:
            for name, path in QUESTIONS:
                seconds = median_s(partial(ask, f"{address}/{path}"), options.repeats)
                tell(name, seconds, scan_s)
            rows = json.loads(ask(f"{address}/api/clips?sort=-score_07"))["rows"]
            seconds = median_s(lambda: [ask(f"{address}/thumbnail?run=0&key={row['key']}") for row in rows], 1)
            tell(f"its {len(rows)} thumbnails, one by one", seconds, scan_s)


def tell(name: str, seconds: float, reference_s: float) -> None:
    """Print a line of the table."""
    print(f"{name:<32}{seconds:7.3f} s  {seconds / reference_s:6.2f} × the reference")


def reference(collection: Collection, path: Path, repeats: int) -> float:
    """Seconds in which Arrow reads the same columns of all rows from one file."""
    pq.write_table(collection.table, path)
    return median_s(lambda: pq.read_table(path, use_threads=False), repeats)


def median_s(ask_once: Callable[[], Any], repeats: int) -> float:
    """Median seconds of a call."""
    seconds = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        ask_once()
        seconds.append(time.perf_counter() - began_s)
    return statistics.median(seconds)


def ask(address: str) -> bytes:
    """What a server answers."""
    with urllib.request.urlopen(address) as answer:
        content: bytes = answer.read()
    return content


def write_ledger(run_: Path, num_clips: int) -> float:
    """Write the index of a run without its tars; returns the kilobytes of a thumbnail."""
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 256, (14, 24, 3), np.uint8), (192, 108), interpolation=cv2.INTER_CUBIC)
    thumbnail = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()
    shards = Path(RunDirectory(str(run_)).shards)
    shards.mkdir(parents=True)
    for shard, first in enumerate(range(0, num_clips, PER_SHARD)):
        rows = rows_of(random, range(first, min(first + PER_SHARD, num_clips)), thumbnail)
        pq.write_table(rows, shards / f"soul-{shard:016x}.parquet", write_page_checksum=True)
    return len(thumbnail) / 1000


def rows_of(random: np.random.Generator, numbers: range, thumbnail: bytes) -> pa.Table:
    """Rows such as a run has: a third kept, the others rejected by one of twenty rules."""
    count = len(numbers)
    kept = random.random(count) < 1 / 3
    rule = random.integers(0, 20, count)
    source = [number // CLIPS_PER_SOURCE for number in numbers]
    values: dict[str, Any] = {
        "key": [
            f"video_{of:06d}-5e071f21b7-0000-{number % CLIPS_PER_SOURCE:04d}"
            for of, number in zip(source, numbers, strict=True)
        ],
        "source": [f"s3://bucket/raw/batch-{of % 97:02d}/video_{of:06d}.mp4" for of in source],
        "source_key": [f"video_{of:06d}-5e071f21b7-0000" for of in source],
        "start_s": [5.0 * (number % CLIPS_PER_SOURCE) for number in numbers],
        "end_s": [5.0 * (number % CLIPS_PER_SOURCE) + 4.5 for number in numbers],
        "kept": kept,
        "reject_stage": [None if is_kept else f"stage_{each % 10}" for is_kept, each in zip(kept, rule, strict=True)],
        "reject_rule": [None if is_kept else f"rule_{each % 2}" for is_kept, each in zip(kept, rule, strict=True)],
        "audio_kept": kept,
        "shot_type": random.choice(["portrait", "upper_body", "full_body"], count),
        "num_people": random.integers(0, 4, count),
        "width": [1280] * count,
        "height": [720] * count,
        "caption_brief": [BRIEFS[each] for each in random.integers(0, len(BRIEFS), count)],
        "thumbnail": [thumbnail] * count,
        "stage_seconds": [json.dumps({f"stage_{stage}": 0.5 for stage in range(14)})] * count,
        "backends": [json.dumps({f"stage_{stage}": "backend" for stage in range(10)})] * count,
        "config_hash": ["47a29953a60c"] * count,
        "pool": ["human"] * count,
        "content_hash": [random.bytes(16).hex() for _ in numbers],
        "look_print": [random.bytes(42) for _ in numbers],
        "motion_print": [random.bytes(170) for _ in numbers],
        "sound_print": [random.bytes(56) for _ in numbers],
        "embedding_print": [None] * count,
    }
    assert values.keys() <= COLUMNS.keys()
    assert set(LEFT_OUT) <= values.keys()
    return pa.table(values | {f"score_{each:02d}": random.normal(0.5, 0.2, count) for each in range(NUM_SCORES)})
