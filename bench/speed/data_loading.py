"""Reading encoded samples as training does, against reading the same tars from end to end.

    python -m bench.speed.data_loading

Training's reader takes samples in shuffled order, checks them, and makes conditioned batches; the reference opens each
tar and reads its bytes in order. The files lie in the page cache for both.
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
    parser.add_argument("--samples", type=int, default=48, help="of 109 frames at 704 × 1280 (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that read (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.data_loading", __doc__, add_arguments))  # ahead of the imports that take seconds

import numpy as np
import torch

from curation.encoding.encoded import EncodedClip, EncodedDirectory, EncodedSample, EncodedShardWriter, Encoding
from training.data.batch_plan import BatchPlan
from training.data.conditioning import ClipConditioner, ConditioningConfig
from training.data.index import read_index
from training.data.loader import DataConfig, SampleReader, Share, load_steps

TEXT_DIM, TEXT_TOKENS, AUDIO_DIM = 4096, 512, 6400


def run(options: argparse.Namespace) -> None:
    """Make shards, read them both ways, print the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        directory = _make(Path(folder) / "encoded", options.samples)
        tars = sorted(Path(directory.path).rglob("*.tar"))
        size_mb = sum(tar.stat().st_size for tar in tars) / 1e6
        raw = min(_read_raw(tars) for _ in range(3))
        print(f"{options.samples} samples of {size_mb / options.samples:.1f} MB, text and Whisper features included")
        print(f"{'raw':<24}{raw:7.2f} s  {size_mb / raw:8.0f} MB/s")
        for workers in sorted({0, options.workers}):
            seconds = _read_as_training(directory, options.samples, workers)
            name = f"training, {workers} workers" if workers else "training, no workers"
            print(f"{name:<24}{seconds:7.2f} s  {size_mb / seconds:8.0f} MB/s   {seconds / raw:6.2f} × raw")


def _make(path: Path, num: int) -> EncodedDirectory:
    """Random samples of the real sizes of the first stage."""
    directory = EncodedDirectory(str(path))
    about = Encoding(
        stage="720p", area=704 * 1280, fps=25, clip_frames=109, latent_channels=48, text_dim=TEXT_DIM,
        text_tokens=TEXT_TOKENS, audio_dim=AUDIO_DIM, encoders="bench",
    )  # fmt: skip
    directory.describe(about, torch.zeros(1, TEXT_DIM))
    directory.open_session("bench")
    writer = EncodedShardWriter(directory, "bench")
    for shard in range(4):
        writer.write(f"soul-{shard}", (_clip(index) for index in range(shard, num, 4)))
    return directory


def _clip(index: int) -> EncodedClip:
    generator = torch.Generator().manual_seed(index)
    sample = EncodedSample(
        key=f"clip-{index:04d}", source=f"video-{index}", pool="human", prompts=("detailed", "brief"), fps=25,
        latents=torch.randn(48, 28, 44, 80, generator=generator),
        reference_latents=torch.randn(4, 48, 44, 80, generator=generator),
        text_states=(torch.randn(120, TEXT_DIM, generator=generator), torch.randn(30, TEXT_DIM, generator=generator)),
        audio_features=torch.randn(218, AUDIO_DIM, generator=generator),
    )  # fmt: skip
    return EncodedClip(sample=sample, height=704, width=1280, codebook_vectors=np.zeros((0, 48), np.float16))


def _read_raw(tars: list[Path]) -> float:
    start = time.perf_counter()
    for tar in tars:
        tar.read_bytes()
    return time.perf_counter() - start


def _read_as_training(directory: EncodedDirectory, num: int, workers: int) -> float:
    samples = read_index(directory, held_out_fraction=0)
    plan = BatchPlan(samples=samples, weights={"human": 1.0}, batch_size=1, seed=0)
    conditioner = ClipConditioner(
        ConditioningConfig(), seed=0, audio_window=16, audio_dim=AUDIO_DIM, text_tokens=TEXT_TOKENS,
        free_text=directory.unconditional(),
    )  # fmt: skip
    share = Share(rank=0, num_ranks=1, micro_batch=1, accumulation=1)
    steps = load_steps(plan, SampleReader(directory, samples), share, DataConfig(workers=workers))
    next(steps)  # the start of the workers is not timed
    start = time.perf_counter()
    for _ in range(num):
        conditioner(next(steps)[0].samples)
    return time.perf_counter() - start
