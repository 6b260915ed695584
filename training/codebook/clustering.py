"""K-Means over the latents of the whole training set: the codebook of the threshold-aware clamp (paper, Sec. 3.2).

Vectors are streamed twice: once for the sample that faiss clusters, once for the counts and distances of all of
them. Only the sample is held, 256 vectors a centroid: 1.97 GB for 40,000 centroids of 48 channels.

Letters: N vectors, C latent channels, K centroids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infra.config import ConfigError
from model.generation.codebook import Codebook
from training.codebook.config import CodebookConfig

MIN_POINTS: Final = 39
MAX_POINTS: Final = 256
"""Vectors a centroid: faiss warns below the first bound and samples above the second."""

NUM_QUANTILES: Final = 101

_PIECE: Final = 1 << 18

Vectors = npt.NDArray[np.float32]
"""(N, C)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Iteration:
    """What one pass of K-Means did."""

    number: int
    """From 1."""
    objective: float
    """Mean squared distance of the sample to the centroids as they were before this pass."""
    num_empty: int
    """Centroids that had lost all their vectors and were moved into the largest clusters."""
    seconds: float
    """Time it took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltCodebook:
    """A codebook, and how many vectors it was made from."""

    codebook: Codebook
    num_vectors: int
    """Finite vectors; counts and quantiles are taken over all of them."""
    num_sampled: int
    """Vectors that were clustered."""
    num_bad: int
    """Vectors with NaN or infinity, which were passed over."""
    num_dropped: int
    """Centroids left out because no vector is nearest to them, as when vectors repeat."""
    iterations: tuple[Iteration, ...] = field(repr=False)
    """One for each pass."""


def num_gpus() -> int:
    """GPUs that this build of faiss can use."""
    return int(faiss.get_num_gpus())


def build_codebook(
    vectors: Iterable[Vectors],
    config: CodebookConfig,
    *,
    on_sampled: Callable[[int, int], None] = lambda _num_vectors, _num_centroids: None,
    on_iteration: Callable[[Iteration], None] = lambda _iteration: None,
) -> BuiltCodebook:
    """Cluster vectors and measure how far all of them lie from their centroids.

    Args:
        vectors: chunks (N_i, C), any number and size; iterated over twice, the same both times.
        config: number of centroids, iterations and seed.
        on_sampled: called once with the number of finite vectors and of centroids that they allow.
        on_iteration: called after each pass of K-Means.

    Raises:
        ConfigError: there are no finite vectors, or chunks differ in C.
    """
    sample = Reservoir(MAX_POINTS * config.centroids, config.seed)
    for chunk in vectors:
        sample.add(chunk)
    if sample.num_seen == 0:
        bad = f", {sample.num_bad} with NaN or infinity" if sample.num_bad else ""
        raise ConfigError(f"there are no latent vectors to build a codebook from (found 0{bad})")
    num_centroids = min(config.centroids, max(1, sample.num_seen // MIN_POINTS))
    on_sampled(sample.num_seen, num_centroids)
    centroids, iterations = cluster(sample.vectors, num_centroids, config, on_iteration)
    # When everything fits into the sample, there is no need to read it again.
    everything = [sample.vectors] if sample.num_seen == len(sample.vectors) else map(finite_rows, vectors)
    codebook, num_dropped = measure(everything, centroids)
    return BuiltCodebook(
        codebook=codebook,
        num_vectors=sample.num_seen,
        num_sampled=len(sample.vectors),
        num_bad=sample.num_bad,
        num_dropped=num_dropped,
        iterations=iterations,
    )


class Reservoir:
    """A uniform sample, without repetition, of a stream of unknown length."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.num_seen = 0
        self.num_bad = 0
        self._capacity = capacity
        self._random = np.random.default_rng(seed)
        self._kept: Vectors | None = None

    def add(self, chunk: Vectors) -> None:
        """Offer vectors (N, C); those with NaN or infinity are counted and not kept.

        Raises:
            ConfigError: C differs from that of earlier ones.
        """
        good = finite_rows(chunk)
        self.num_bad += len(chunk) - len(good)
        if self._kept is None:
            # Memory is only taken as it is filled.
            self._kept = np.empty((self._capacity, chunk.shape[1]), np.float32)
        if chunk.shape[1] != self._kept.shape[1]:
            raise ConfigError(f"latent vectors of {chunk.shape[1]} channels among those of {self._kept.shape[1]}")
        num_filling = min(len(good), max(0, self._capacity - self.num_seen))
        self._kept[self.num_seen : self.num_seen + num_filling] = good[:num_filling]
        self.num_seen += num_filling
        rest = good[num_filling:]
        # The t-th vector stays with probability capacity / t, in the place of one drawn at random; where two of
        # a chunk draw the same place, the later one stays, as it would one by one.
        places = self._random.integers(0, np.arange(self.num_seen + 1, self.num_seen + 1 + len(rest)))
        staying = places < self._capacity
        self._kept[places[staying]] = rest[staying]
        self.num_seen += len(rest)

    @property
    def vectors(self) -> Vectors:
        """The sample so far, (N, C)."""
        assert self._kept is not None
        return self._kept[: self.num_seen]


def finite_rows(vectors: Vectors) -> Vectors:
    """The vectors (N, C) without those that hold NaN or infinity."""
    return vectors[np.isfinite(vectors).all(axis=1)]


def cluster(
    vectors: Vectors,
    num_centroids: int,
    config: CodebookConfig,
    on_iteration: Callable[[Iteration], None] = lambda _iteration: None,
) -> tuple[Tensor, tuple[Iteration, ...]]:
    """faiss K-Means of vectors (N, C), on its GPUs when it has any: centroids (K, C) fp32 and what each pass did.

    faiss is called once for each pass, so that progress can be shown; the centroids are those of a single call, which
    too ends with the first pass whose objective is that of the pass before.
    """
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        num_centroids,
        niter=1,
        seed=config.seed,
        gpu=num_gpus() > 0,
        # The vectors have been checked and sampled already.
        check_input_data_for_NaNs=False,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),
    )
    iterations: list[Iteration] = []
    for number in range(1, config.iterations + 1):
        start_s = time.perf_counter()
        kmeans.train(vectors, init_centroids=kmeans.centroids)
        assert kmeans.iteration_stats is not None
        stats = kmeans.iteration_stats[-1]
        iterations.append(
            Iteration(
                number=number,
                objective=float(stats["obj"]) / len(vectors),
                num_empty=int(stats["nsplit"]),
                seconds=time.perf_counter() - start_s,
            )
        )
        on_iteration(iterations[-1])
        if number > 1 and iterations[-1].objective == iterations[-2].objective:
            break
    assert kmeans.centroids is not None
    return torch.from_numpy(kmeans.centroids.copy()), tuple(iterations)


def measure(vectors: Iterable[Vectors], centroids: Tensor) -> tuple[Codebook, int]:
    """Assign vectors (N_i, C) to centroids (K, C): the codebook with their counts and the quantiles of distances.

    Centroids to which no vector is nearest are left out: they would pull latents to where no data is.

    Returns:
        The codebook, and how many centroids were left out.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # The clamp's own search is used, so that percentiles are of the same distances that the clamp compares.
    search = Codebook(
        centroids=centroids, counts=torch.zeros(len(centroids), dtype=torch.long), distance_quantiles=torch.zeros(2)
    ).to(device)
    counts = torch.zeros(len(centroids), dtype=torch.long)
    distances: list[Vectors] = []
    for points in _pieces(vectors, device):
        nearest = search.nearest(points)
        counts += torch.bincount(nearest, minlength=len(centroids)).cpu()
        distances.append(torch.linalg.vector_norm(points - search.centroids[nearest], dim=1).cpu().numpy())
    quantiles = np.quantile(np.concatenate(distances), np.linspace(0, 1, NUM_QUANTILES))
    used = counts > 0
    codebook = Codebook(
        centroids=centroids[used],
        counts=counts[used],
        distance_quantiles=torch.from_numpy(quantiles).float(),
    )
    return codebook, int((~used).sum())


def _pieces(vectors: Iterable[Vectors], device: str) -> Iterator[Tensor]:
    """The same vectors on the device, in pieces small enough that what is computed from one fits into memory."""
    for chunk in vectors:
        for start in range(0, len(chunk), _PIECE):
            yield torch.from_numpy(chunk[start : start + _PIECE]).to(device)
