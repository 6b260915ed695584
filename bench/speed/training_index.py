"""What an index of a million encoded samples costs a node that trains: read once and mapped, against a copy for each.

    python -m bench.speed.training_index [--samples N]

Made rows of the real form lie in commits; each measure is taken in a process of its own. The reference is what every
loader process of every rank got before there was a file: the pickled table.
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
    parser.add_argument("--samples", type=int, default=1_000_000, help="rows of the index (default: %(default)s)")
    parser.add_argument("--commits", type=int, default=100, help="that they lie in (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.training_index", __doc__, add_arguments))  # ahead of the imports that take seconds

import pickle
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curation.encoding.encoded import EncodedDirectory, Encoding
from training.data.index import SampleIndex, read_index

HELD_OUT = 0.01


def run(options: argparse.Namespace) -> None:
    """Print seconds and memory of reading, mapping, and of a pickled copy."""
    with tempfile.TemporaryDirectory() as folder:
        path, file = Path(folder) / "encoded", Path(folder) / "index.arrow"
        make(path, options.samples, options.commits)
        rows = {
            "read and written, once a node": in_process(read, str(path), file),
            "mapped, each rank": in_process(use, file),
            "mapped, each loader process": in_process(locate, SampleIndex.mapped(file)),
        }
        copy = SampleIndex(table=SampleIndex.mapped(file).table)
        rows["pickled copy, each loader process"] = in_process(locate, copy)
        reference = rows["pickled copy, each loader process"]
        size_mb = file.stat().st_size / 1e6
        print(f"{options.samples:,} samples in {options.commits:,} commits; the file has {size_mb:,.0f} MB")
        print(f"{'':<36}{'seconds':>9}{'own MB':>9}{'× copy':>9}{'sent MB':>9}")
        for name, (seconds, own_mb, sent_mb) in rows.items():
            print(f"{name:<36}{seconds:9.2f}{own_mb:9.0f}{seconds / reference[0]:9.2f}{sent_mb:9.1f}")


def in_process(work: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """Seconds, growth of a fresh process's own memory in MB, and the size of what it is sent in MB."""
    with get_context("spawn").Pool(1) as pool:
        pool.apply(_warm)
        seconds, own_mb = pool.apply(_measured, (work, pickle.dumps(arguments)))
    return seconds, own_mb, len(pickle.dumps(arguments)) / 1e6


def read(path: str, file: Path) -> None:
    """What the first process of a node does."""
    read_index(EncodedDirectory(path), held_out_fraction=HELD_OUT).save(file)


def use(file: Path) -> None:
    """What every rank does."""
    samples = SampleIndex.mapped(file)
    assert samples.fingerprint
    assert len(samples.held_out)
    assert samples.pools


def locate(samples: SampleIndex) -> None:
    """What a loader's process does for the samples of a step."""
    for row in range(0, len(samples), max(1, len(samples) // 64)):
        samples.location(row)


def make(path: Path, num_samples: int, num_commits: int) -> None:
    """An encoded stage of rows whose samples are nowhere, but for the tars that they name."""
    directory = EncodedDirectory(str(path))
    about = Encoding(
        stage="720p", area=704 * 1280, fps=25, clip_frames=109, latent_channels=48, text_dim=4096, text_tokens=512,
        audio_dim=6400, encoders="made",
    )  # fmt: skip
    directory.describe(about, torch.zeros(1, 4096))
    directory.open_session("bench")
    rng = np.random.default_rng(0)
    (path / "109x704x1280").mkdir()
    for commit, rows in enumerate(np.array_split(np.arange(num_samples), num_commits)):
        tar = f"109x704x1280/soul-{commit:05d}.tar"
        (path / tar).touch()
        sizes = rng.integers(10_000_000, 20_000_000, len(rows))
        table = pa.table(
            {
                "key": [f"video_{row // 4:07d}-{row * 2654435761 % 2**40:010x}-0000-{row % 4:04d}" for row in rows],
                "source": [f"s3://raw/2026/part-{row // 40000:04d}/video_{row // 4:07d}.mp4" for row in rows],
                "pool": np.where(rows % 5 == 0, "general", "human"),
                "bucket": ["109x704x1280"] * len(rows),
                "encoded": [True] * len(rows),
                "tar": [tar] * len(rows),
                "offset": np.cumsum(sizes) - sizes,
                "size": sizes,
                "sha256": [rng.bytes(32) for _ in rows],
                "wav_offset": np.cumsum(sizes),
                "wav_size": sizes // 20,
                "wav_sha256": [rng.bytes(32) for _ in rows],
            }
        )
        pq.write_table(table, path / f"soul-{commit:05d}.parquet")


def _warm() -> None:
    """Import what the work needs."""


def _measured(work: Callable[..., None], arguments: bytes) -> tuple[float, float]:
    before_mb = own_memory_mb()
    start = time.perf_counter()
    kept = pickle.loads(arguments)
    work(*kept)
    seconds = time.perf_counter() - start
    return seconds, own_memory_mb() - before_mb


def own_memory_mb() -> float:
    """What this process has of its own in MB: pages of a mapped file are the page cache's, once for all processes."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1000
