"""What it takes to merge small shards into large ones: on a disk, and in an object store on loopback.

    python -m bench.speed.compaction [--megabytes 2000]

Made shards of eight sources, twelve clips of two megabytes and a row with a picture for each, are merged by the real
job in this process, up to a gigabyte each. The reference is the least that any such program does: the bytes of the
tars, read and written one after the other into files as large, with the disk waited for; of the store, each tar fetched
and such a file sent by the same client.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from infra.command_line import run_alone, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--megabytes", type=whole_number("megabytes", least=1), default=2000, help="of clips (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where it is made; a temporary folder when it is not given")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.compaction", __doc__, add_arguments))  # ahead of the imports that take seconds

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from bench.speed.object_store import object_store
from curation.compaction.job import CompactionJob
from curation.compaction.plan import Merge, merges_of
from curation.shards.run_directory import RunDirectory, ShardsConfig
from infra.jobs.engine import run_inline
from infra.storage.commits import staged_tar
from infra.storage.files import filesystem, is_local, join, local_copy

CLIPS_PER_SHARD = 12
CLIP_BYTES = 2_000_000
OTHER_BYTES = {"wav": 160_000, "json": 4_000}
PICTURE_BYTES = 8_000


def run(options: argparse.Namespace) -> None:
    """Print seconds and megabytes a second of each, and the ratio to the reference."""
    num_shards = max(2, round(options.megabytes * 1e6 / (CLIPS_PER_SHARD * CLIP_BYTES)))
    config = ShardsConfig()
    config = replace(config, max_bytes=min(config.max_bytes, options.megabytes * 500_000))
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        make(str(folder / "bucket" / "run"), num_shards)
        shutil.copytree(folder / "bucket" / "run", folder / "local")
        merges = merges_of(RunDirectory(str(folder / "local")), config, everything=True)
        size_mb = sum(merge.num_bytes for merge in merges) / 1e6
        print(f"{num_shards} shards, {size_mb:,.0f} MB, become {len(merges)}")
        copied_s = copied(folder, str(folder / "local"), merges)
        tell("bytes copied on the disk", copied_s, size_mb, copied_s)
        tell("merged on the disk", merged(str(folder / "local"), merges), size_mb, copied_s)
        with object_store(folder):
            copied_s = copied(folder, "s3://bucket/run", merges)
            tell("bytes copied in a store", copied_s, size_mb, copied_s)
            tell("merged in a store", merged("s3://bucket/run", merges), size_mb, copied_s)


def tell(name: str, seconds: float, size_mb: float, reference_s: float) -> None:
    """Print one row."""
    print(f"{name:<32}{seconds:8.1f} s{size_mb / seconds:8.0f} MB/s{seconds / reference_s:8.2f} ×", flush=True)


def merged(run: str, merges: Sequence[Merge]) -> float:
    """Seconds of the job, from opening the run to tidying its index."""
    job = CompactionJob(run=run, merges=tuple(merges))
    start = time.perf_counter()
    run_inline(job.units, job, lambda _: None)
    seconds = time.perf_counter() - start
    left = set(RunDirectory(run).names())
    assert {merge.name for merge in merges} <= left
    return seconds


def copied(folder: Path, run: str, merges: Sequence[Merge]) -> float:
    """Seconds in which the tars' bytes are in as many files, and on the disk or in the store."""
    directory, file = RunDirectory(run), folder / "copied"
    start = time.perf_counter()
    for merge in merges:
        with file.open("wb") as into:
            for shard in merge.shards:
                with local_copy(directory.tar(shard)) as path, Path(path).open("rb") as tar:
                    shutil.copyfileobj(tar, into, 1 << 20)
            into.flush()
            os.fsync(into.fileno())
        if not is_local(run):
            fs, plain = filesystem(run)
            fs.put_file(str(file), f"{plain}/copied")
    seconds = time.perf_counter() - start
    file.unlink()
    return seconds


def make(run: str, num_shards: int) -> None:
    """Commit shards of noise."""
    directory, random = RunDirectory(run), np.random.default_rng(0)
    directory.open_session("bench")
    noise = random.bytes(CLIP_BYTES + num_shards * CLIPS_PER_SHARD)
    for shard in range(num_shards):
        name = f"soul-{shard * 2654435761 % 2**64:016x}"
        keys = [f"video-{shard:06d}-{clip:04d}" for clip in range(CLIPS_PER_SHARD)]
        with staged_tar(join(directory.shards, f"{name}.tar")) as tar:
            for number, key in enumerate(keys):
                tar.add(f"{key}.mp4", noise[number : number + CLIP_BYTES])
                for extension, size in OTHER_BYTES.items():
                    tar.add(f"{key}.{extension}", noise[:size])
        rows = {
            "key": keys,
            "source_key": [f"video-{shard:06d}"] * len(keys),
            "kept": [True] * len(keys),
            "thumbnail": [noise[number : number + PICTURE_BYTES] for number in range(len(keys))],
        }
        directory.commit_table(name, pa.table(rows), "bench")
