"""Time building a codebook from encoded shards against faiss.Kmeans alone, in one run.

    python -m bench.speed.codebook_build

Ours streams the shards, samples, clusters, and then reads all vectors again for counts and distances; faiss clusters
the same sample, which lies in memory already. The centroids of both are compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--vectors", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--centroids", type=int, default=500, help="default: %(default)s; paper: 40000")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.codebook_build", __doc__, add_arguments))  # ahead of the imports that take seconds

import faiss
import numpy as np
import torch

from curation.encoding.encoded import EncodedClip, EncodedDirectory, EncodedSample, EncodedShardWriter, Encoding
from training.codebook.clustering import MAX_POINTS, Reservoir, build_codebook
from training.codebook.config import CodebookConfig
from training.codebook.vectors import EncodedVectors

CHANNELS, VECTORS_A_CLIP, CLIPS_A_SHARD = 48, 10, 250


def run(options: argparse.Namespace) -> None:
    """Print seconds of both, their ratio, and where ours spends the rest."""
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    config = CodebookConfig(centroids=options.centroids)
    with tempfile.TemporaryDirectory(prefix="soul-") as run:
        num_clips = options.vectors // VECTORS_A_CLIP
        _write(run, num_clips)
        vectors = EncodedVectors(run)
        sample = Reservoir(MAX_POINTS * config.centroids, config.seed)
        for chunk in vectors:
            sample.add(chunk)

        ours_s, alone_s = [], []
        for _ in range(options.repeats):
            start = time.perf_counter()
            built = build_codebook(vectors, config)
            ours_s.append(time.perf_counter() - start)

            start = time.perf_counter()
            alone = faiss.Kmeans(
                CHANNELS, len(built.codebook.centroids), niter=config.iterations, seed=config.seed,
                max_points_per_centroid=MAX_POINTS,
            )  # fmt: skip
            alone.train(sample.vectors)
            alone_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        num_read = sum(len(chunk) for chunk in vectors)
        read_s = time.perf_counter() - start

    ours, reference = float(np.median(ours_s)), float(np.median(alone_s))
    clustering = sum(iteration.seconds for iteration in built.iterations)
    print(
        f"{num_read:,} vectors x {CHANNELS} in {len(vectors)} shards, {built.num_sampled:,} clustered into "
        f"{len(built.codebook.centroids):,}, {config.iterations} iterations, {options.threads} threads"
    )
    print(f"build_codebook   {ours:7.2f} s   {ours / reference:5.2f} x faiss.Kmeans")
    print(f"faiss.Kmeans     {reference:7.2f} s   (the sample in memory; no counts, no distances)")
    print(
        f"of ours (last run): K-Means {clustering:.2f} s, a pass over the shards {read_s:.2f} s, the rest the measure"
    )
    assert alone.centroids is not None
    print(f"same centroids: {np.array_equal(built.codebook.centroids.numpy(), alone.centroids)}")


def _write(run: str, num_clips: int) -> None:
    """Encoded shards with the number of codebook vectors that real ones have, and very small latents."""
    directory = EncodedDirectory(f"{run}/encoded/720p")
    encoding = Encoding(
        stage="720p", area=1024, fps=25, clip_frames=1, latent_channels=CHANNELS, text_dim=1, text_tokens=1,
        audio_dim=1, encoders="none",
    )  # fmt: skip
    directory.describe(encoding, torch.zeros(1, 1))
    directory.open_session("bench")
    centres = np.random.default_rng(0).normal(0, 1, (300, CHANNELS))
    for start in range(0, num_clips, CLIPS_A_SHARD):
        keys = range(start, min(start + CLIPS_A_SHARD, num_clips))
        EncodedShardWriter(directory, "bench").write(f"shard-{start:07d}", _clips(keys, centres))


def _clips(keys: range, centres: np.ndarray) -> Iterator[EncodedClip]:
    random = np.random.default_rng(keys.start)
    for key in keys:
        near = centres[random.integers(0, len(centres), VECTORS_A_CLIP)]
        yield EncodedClip(
            sample=EncodedSample(
                key=f"clip-{key:07d}", source="", pool="human", prompts=(), fps=25, text_states=(),
                latents=torch.zeros(CHANNELS, 1, 1, 1), reference_latents=torch.zeros(1, CHANNELS, 1, 1),
            ),
            height=32,
            width=32,
            codebook_vectors=(near + random.normal(0, 0.5, near.shape)).astype(np.float16),
        )  # fmt: skip
