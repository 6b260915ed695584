"""Time the codebook clamp against faiss and against a full distance matrix, in one run.

    python -m bench.speed.codebook_clamp

The sizes are those of one clamp at 1080p: 2 overlapping latent frames of 68 × 120 positions against the
paper's 40,000 centroids of 48 channels. faiss and the matrix only search; ours is timed with and without the
pulling back.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--centroids", type=int, default=40_000, help="default: %(default)s, the paper's")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="default: %(default)s, after one to warm up")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.codebook_clamp", __doc__, add_arguments))  # ahead of the imports that take seconds

import faiss
import torch
from einops import rearrange
from torch import Tensor

from model.generation.codebook import Codebook

FRAMES, HEIGHT, WIDTH, CHANNELS = 2, 68, 120, 48


def run(options: argparse.Namespace) -> None:
    """Print seconds of each method, ratios, and whether all find the same centroids."""
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    centroids = torch.randn(options.centroids, CHANNELS, generator=generator)
    latents = torch.randn(1, CHANNELS, FRAMES, HEIGHT, WIDTH, generator=generator)
    vectors = rearrange(latents, "b c f h w -> (b f h w) c").contiguous()
    codebook = Codebook(
        centroids=centroids,
        counts=torch.ones(options.centroids, dtype=torch.long),
        distance_quantiles=torch.linspace(0, 10, 101),
    )
    index = faiss.IndexFlatL2(CHANNELS)
    index.add(centroids.numpy())
    threshold = 5.0
    methods: dict[str, Callable[[], Tensor | None]] = {
        "clamp (search and pull)": lambda: codebook.clamp(latents, threshold=threshold),
        "search": lambda: codebook.nearest(vectors),
        "faiss IndexFlatL2": lambda: torch.from_numpy(index.search(vectors.numpy(), 1)[1][:, 0]),
        "full matrix (cdist)": lambda: torch.cdist(vectors, centroids).argmin(dim=1),
    }
    seconds = _time_in_turn(methods, options.repeats)
    print(f"{len(vectors):,} vectors x {CHANNELS} against {options.centroids:,}, {options.threads} threads")
    for name, taken in seconds.items():
        ratio = taken / seconds["clamp (search and pull)"]
        print(f"{name:<24} {taken:7.3f} s   {ratio:5.2f} x the clamp")
    agree = {name: methods[name]() for name in list(methods)[1:]}
    distance = {name: (vectors - centroids[i]).norm(dim=1) for name, i in agree.items() if i is not None}
    worst = max(float((d - distance["full matrix (cdist)"]).max()) for d in distance.values())
    print(f"largest excess distance over the matrix's winner: {worst:.1e}")


def _time_in_turn(methods: dict[str, Callable[[], Tensor | None]], repeats: int) -> dict[str, float]:
    """Median seconds of each method; they take turns, so that a busy machine slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
