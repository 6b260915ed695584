import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from infra.config import ConfigError
from model.generation.codebook import Codebook
from training.codebook.clustering import MIN_POINTS, Iteration, Reservoir, Vectors, build_codebook, cluster
from training.codebook.config import CodebookConfig

CENTRES = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], np.float32)


class Stream:
    """Vectors in chunks; counts how often it is read."""

    def __init__(self, vectors: Vectors, size: int = 100) -> None:
        self.vectors, self.size, self.passes = vectors, size, 0

    def __iter__(self) -> Iterator[Vectors]:
        self.passes += 1
        return (self.vectors[start : start + self.size] for start in range(0, len(self.vectors), self.size))


def blobs(per_blob: int = 200, spread: float = 0.3, seed: int = 0) -> Vectors:
    random = np.random.default_rng(seed)
    points = np.repeat(CENTRES, per_blob, axis=0) + random.normal(0, spread, (len(CENTRES) * per_blob, 3))
    return random.permutation(points).astype(np.float32)


def brute_distances(vectors: Vectors, codebook: Codebook) -> np.ndarray:
    """Distance of each vector to its nearest centroid in fp64."""
    offsets = vectors[:, None].astype(np.float64) - codebook.centroids.numpy()[None]
    nearest: np.ndarray = np.linalg.norm(offsets, axis=2).min(axis=1)
    return nearest


def test_finds_the_centres_of_blobs() -> None:
    """Lloyd's algorithm may give a blob several centroids, but none is shared, and none lies between."""
    built = build_codebook(Stream(blobs()), CodebookConfig(centroids=20))
    centroids, counts = built.codebook.centroids.numpy(), built.codebook.counts.numpy()
    distance = np.linalg.norm(centroids[:, None] - CENTRES[None], axis=2)
    assert distance.min(axis=1).max() < 1, "every centroid lies in a blob"
    for blob, centre in enumerate(CENTRES):
        mine = distance.argmin(axis=1) == blob
        assert counts[mine].sum() == 200
        np.testing.assert_allclose(np.average(centroids[mine], axis=0, weights=counts[mine]), centre, atol=0.08)
    assert (built.num_vectors, built.num_sampled, built.num_bad, built.num_dropped) == (800, 800, 0, 0)


def test_the_objective_falls_and_every_pass_is_reported() -> None:
    seen: list[Iteration] = []
    config = CodebookConfig(centroids=20, iterations=8)
    built = build_codebook(Stream(blobs(spread=3)), config, on_iteration=seen.append)
    assert tuple(seen) == built.iterations
    assert [iteration.number for iteration in seen] == list(range(1, 9))
    objectives = [iteration.objective for iteration in seen]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < 0.9 * objectives[0]


def test_passes_asked_for_one_by_one_are_those_of_faiss() -> None:
    vectors = blobs(spread=3)
    centroids, iterations = cluster(vectors, 15, CodebookConfig(centroids=15, iterations=12))
    reference = faiss.Kmeans(3, 15, niter=12, seed=1234)
    reference.train(vectors)
    assert reference.centroids is not None
    assert reference.obj is not None
    np.testing.assert_array_equal(centroids.numpy(), reference.centroids)
    np.testing.assert_allclose([done.objective * len(vectors) for done in iterations], reference.obj, rtol=1e-6)


def test_the_first_pass_that_gains_nothing_is_the_last() -> None:
    vectors = blobs()
    centroids, iterations = cluster(vectors, 4, CodebookConfig(centroids=4))
    assert 1 < len(iterations) < 25
    whole = faiss.Kmeans(3, 4, niter=25, seed=1234)
    whole.train(vectors)
    assert whole.centroids is not None
    np.testing.assert_array_equal(centroids.numpy(), whole.centroids)


def test_counts_and_quantiles_are_of_all_vectors_not_of_the_sample() -> None:
    vectors = blobs(per_blob=500, spread=2)
    stream = Stream(vectors, size=77)
    built = build_codebook(stream, CodebookConfig(centroids=5))
    assert (built.num_vectors, built.num_sampled, stream.passes) == (2000, 5 * 256, 2)
    assert int(built.codebook.counts.sum()) == 2000
    expected = np.quantile(brute_distances(vectors, built.codebook), np.linspace(0, 1, 101))
    np.testing.assert_allclose(built.codebook.distance_quantiles.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_what_fits_into_the_sample_is_read_once() -> None:
    vectors = blobs(spread=2)
    stream = Stream(vectors)
    built = build_codebook(stream, CodebookConfig(centroids=10))
    assert stream.passes == 1
    expected = np.quantile(brute_distances(vectors, built.codebook), np.linspace(0, 1, 101))
    np.testing.assert_allclose(built.codebook.distance_quantiles.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("num_vectors", "expected"), [(1, 1), (MIN_POINTS - 1, 1), (2 * MIN_POINTS, 2), (3 * MIN_POINTS - 1, 2)]
)
def test_too_few_vectors_give_fewer_centroids(num_vectors: int, expected: int) -> None:
    told: list[tuple[int, int]] = []
    vectors = np.random.default_rng(0).normal(size=(num_vectors, 3)).astype(np.float32)
    built = build_codebook(Stream(vectors), CodebookConfig(), on_sampled=lambda *numbers: told.append(numbers))
    assert told == [(num_vectors, expected)]
    assert len(built.codebook.centroids) == expected
    assert int(built.codebook.counts.sum()) == num_vectors


def test_the_seed_decides() -> None:
    vectors = blobs(per_blob=500, spread=3)
    first, second, other = (
        build_codebook(Stream(vectors), CodebookConfig(centroids=5, seed=seed)).codebook for seed in (1, 1, 2)
    )
    assert torch.equal(first.centroids, second.centroids)
    assert torch.equal(first.counts, second.counts)
    assert torch.equal(first.distance_quantiles, second.distance_quantiles)
    assert not torch.equal(first.centroids, other.centroids)


def test_vectors_that_are_not_finite_are_counted_and_left_out() -> None:
    vectors = blobs()
    clean = build_codebook(Stream(vectors), CodebookConfig(centroids=4))
    dirty = np.insert(vectors, [0, 150, 800], np.array([np.nan, 1, 1], np.float32), axis=0)
    dirty[151, 1] = np.inf
    dirty[151, 0] = 0
    built = build_codebook(Stream(dirty), CodebookConfig(centroids=4))
    assert (built.num_vectors, built.num_bad) == (800, 3)
    assert torch.equal(built.codebook.centroids, clean.codebook.centroids)
    assert torch.equal(built.codebook.distance_quantiles, clean.codebook.distance_quantiles)


def test_bad_vectors_are_left_out_of_the_second_pass_too() -> None:
    vectors = blobs(per_blob=300)
    vectors[::100] = np.nan
    built = build_codebook(Stream(vectors), CodebookConfig(centroids=4))
    assert (built.num_vectors, built.num_sampled, built.num_bad) == (1188, 1024, 12)
    assert int(built.codebook.counts.sum()) == 1188
    assert torch.isfinite(built.codebook.distance_quantiles).all()


@pytest.mark.parametrize("chunks", [[], [np.empty((0, 3), np.float32)], [np.full((5, 3), np.nan, np.float32)]])
def test_nothing_to_build_from_is_one_clear_line(chunks: list[Vectors]) -> None:
    with pytest.raises(ConfigError, match="there are no latent vectors"):
        build_codebook(chunks, CodebookConfig())


def test_differing_channels_are_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="4 channels among those of 3"):
        build_codebook([np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)], CodebookConfig())


def test_centroids_that_no_vector_is_nearest_to_are_left_out() -> None:
    """Three distinct vectors cannot feed eight centroids, however often empty ones are moved."""
    distinct = CENTRES[:3]
    built = build_codebook(Stream(np.repeat(distinct, 8 * MIN_POINTS // 3, axis=0)), CodebookConfig(centroids=8))
    codebook = built.codebook
    assert built.num_dropped == 8 - len(codebook.centroids) > 0
    assert (codebook.counts > 0).all()
    np.testing.assert_allclose(brute_distances(distinct, codebook), 0, atol=0.02)
    assert any(iteration.num_empty for iteration in built.iterations)


@pytest.mark.parametrize(
    "kind", ["all the same", "all zero", "a channel of zeros", "as large as fp16 goes", "half of them NaN"]
)
def test_odd_vectors_give_centroids_that_are_finite(kind: str) -> None:
    vectors = blobs(per_blob=100, spread=2)
    if kind == "all the same":
        vectors[:] = vectors[0]
    elif kind == "all zero":
        vectors[:] = 0
    elif kind == "a channel of zeros":
        vectors[:, 1] = 0
    elif kind == "as large as fp16 goes":
        vectors *= 65504 / np.abs(vectors).max()
    else:
        vectors[::2] = np.nan
    built = build_codebook(Stream(vectors), CodebookConfig(centroids=5, iterations=5))
    codebook = built.codebook
    assert torch.isfinite(codebook.centroids).all()
    assert torch.isfinite(codebook.distance_quantiles).all()
    assert int(codebook.counts.sum()) == built.num_vectors == (200 if kind.startswith("half") else 400)
    assert built.num_bad == 400 - built.num_vectors
    assert (len(codebook.centroids) == 1) == kind.startswith("all")
    if kind == "a channel of zeros":
        assert not codebook.centroids[:, 1].any()


@pytest.mark.parametrize("values", [{"centroids": 0}, {"iterations": 0}, {"seed": -1}])
def test_impossible_settings_are_one_clear_line(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"codebook: {next(iter(values))}"):
        CodebookConfig(**values)


def test_the_reservoir_is_uniform_and_does_not_repeat() -> None:
    """Each of 100 vectors in uneven chunks stays in 20 of 100 draws: about as often as any other."""
    hits = np.zeros(100, int)
    for seed in range(2000):
        reservoir = Reservoir(20, seed)
        for chunk in np.split(np.arange(100, dtype=np.float32)[:, None], [1, 30, 31, 80]):
            reservoir.add(chunk)
        kept = reservoir.vectors[:, 0].astype(int)
        assert len(set(kept)) == 20
        hits[kept] += 1
    # Inclusions of one draw exclude each other a little, which makes the statistic smaller than chi-square's:
    # scaled by (n − 1) / (n − k) it has its distribution.
    statistic = chisquare(hits).statistic * 99 / 80
    assert 60 < statistic < 150, "0.1 % and 99.9 % quantiles of chi-square with 99 degrees of freedom are 60 and 149"


class Endless:
    """200 chunks of 5,000 vectors, 192 MB in all, made when they are asked for."""

    def __iter__(self) -> Iterator[Vectors]:
        random = np.random.default_rng(0)
        return (random.standard_normal((5000, 48), np.float32) for _ in range(200))


def test_a_stream_is_not_held() -> None:
    tracemalloc.start()
    built = build_codebook(Endless(), CodebookConfig(centroids=20, iterations=2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert built.num_vectors == 1_000_000
    assert peak < 30e6, "a chunk is 1 MB, the sample 1 MB, a million distances and their sorted copy 4 MB each"


def test_the_file_loads_and_clamps(tmp_path: Path) -> None:
    built = build_codebook(Stream(blobs()), CodebookConfig(centroids=4))
    built.codebook.save(tmp_path / "codebook.safetensors")
    codebook = Codebook.load(tmp_path / "codebook.safetensors")
    latents = torch.from_numpy(blobs(seed=1)[:64]).T.reshape(1, 3, 1, 8, 8) * 2
    clamped = codebook.clamp(latents, percentile=99)
    points = clamped.reshape(3, 64).T.contiguous().numpy()
    assert brute_distances(points, codebook).max() <= codebook.threshold_at(99) * (1 + 1e-5)
    assert not torch.equal(clamped, latents)


@pytest.mark.parametrize("num_gpus", [0, 2])
def test_faiss_clusters_on_its_gpus_where_it_has_any(num_gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class OnTheCpu(faiss.Kmeans):
        def __init__(self, *sizes: int, gpu: bool, **options: Any) -> None:
            asked.append(gpu)
            super().__init__(*sizes, gpu=False, **options)

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: num_gpus)
    monkeypatch.setattr(faiss, "Kmeans", OnTheCpu)
    centroids, _ = cluster(blobs(), 4, CodebookConfig(centroids=4))
    assert asked == [num_gpus > 0]
    assert centroids.shape == (4, 3)
    assert bool(centroids.isfinite().all())
