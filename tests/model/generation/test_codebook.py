import re
from pathlib import Path

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.generation.codebook import CPU_TILE, Codebook


def make_codebook(num_centroids: int = 50, channels: int = 6, seed: int = 0) -> Codebook:
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.randn(num_centroids, channels, generator=generator)
    return Codebook(
        centroids=centroids,
        counts=torch.arange(num_centroids),
        distance_quantiles=torch.linspace(0, 4, 101).square(),
    )


def make_latents(channels: int = 6, seed: int = 1, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 3, 4, 5, generator=generator) * scale


def distances(codebook: Codebook, latents: Tensor) -> Tensor:
    """Distance of each latent vector to its nearest centroid, by brute force in fp64."""
    vectors = rearrange(latents, "b c f h w -> (b f h w) c").double()
    return torch.cdist(vectors, codebook.centroids.double(), compute_mode="donot_use_mm_for_euclid_dist").amin(1)


@st.composite
def clamp_cases(draw: st.DrawFn) -> tuple[Codebook, Tensor, float]:
    channels = draw(st.integers(1, 8))
    codebook = make_codebook(draw(st.integers(1, 60)), channels, draw(st.integers(0, 10_000)))
    scale = draw(st.sampled_from([1e-3, 0.5, 1.0, 3.0, 50.0]))
    return codebook, make_latents(channels, draw(st.integers(0, 10_000)), scale), draw(st.floats(0.01, 10))


@settings(max_examples=60, deadline=None)
@given(clamp_cases())
def test_never_beyond_the_threshold(case: tuple[Codebook, Tensor, float]) -> None:
    codebook, latents, threshold = case
    clamped = codebook.clamp(latents, threshold=threshold)
    # fp32 coordinates of size |c| + τ cannot place a point on a sphere more exactly than this.
    tolerance = 4e-7 * (float(codebook.centroids.norm(dim=1).max()) + threshold)
    assert float(distances(codebook, clamped).max()) <= threshold + tolerance


@settings(max_examples=60, deadline=None)
@given(clamp_cases())
def test_clamping_twice_changes_nothing(case: tuple[Codebook, Tensor, float]) -> None:
    codebook, latents, threshold = case
    once = codebook.clamp(latents, threshold=threshold)
    assert torch.equal(codebook.clamp(once, threshold=threshold), once)


@settings(max_examples=60, deadline=None)
@given(clamp_cases())
def test_points_inside_stay_bit_for_bit(case: tuple[Codebook, Tensor, float]) -> None:
    codebook, latents, threshold = case
    clamped = codebook.clamp(latents, threshold=threshold)
    inside = distances(codebook, latents) < threshold * (1 - 1e-6)
    before = rearrange(latents, "b c f h w -> (b f h w) c")[inside]
    after = rearrange(clamped, "b c f h w -> (b f h w) c")[inside]
    assert torch.equal(before, after)


@settings(max_examples=60, deadline=None)
@given(clamp_cases())
def test_matches_the_formula_by_brute_force(case: tuple[Codebook, Tensor, float]) -> None:
    codebook, latents, threshold = case
    vectors = rearrange(latents, "b c f h w -> (b f h w) c").double()
    table = torch.cdist(vectors, codebook.centroids.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = table.min(dim=1)
    centre = codebook.centroids.double()[nearest]
    expected = torch.where(
        (distance <= threshold)[:, None],
        vectors,
        centre + (vectors - centre) * (threshold / distance)[:, None],
    )
    actual = rearrange(codebook.clamp(latents, threshold=threshold), "b c f h w -> (b f h w) c").double()
    # A vector that is as near to two centroids may go to either.
    two_nearest = table.topk(min(2, table.shape[1]), dim=1, largest=False).values
    unambiguous = (two_nearest[:, -1] - two_nearest[:, 0] > 1e-4) | (table.shape[1] == 1)
    magnitude = vectors.norm(dim=1).max() + centre.norm(dim=1).max()
    slack = 64 * 1.2e-7 * float(magnitude) ** 2 / threshold + 1e-5
    assert float((actual - expected)[unambiguous].norm(dim=1).max()) <= slack


def test_search_crosses_tiles_like_one_matrix() -> None:
    codebook = make_codebook(num_centroids=2 * CPU_TILE + 77, channels=48)
    vectors = torch.randn(CPU_TILE + 33, 48, generator=torch.Generator().manual_seed(3))
    expected = torch.cdist(vectors.double(), codebook.centroids.double()).argmin(dim=1)
    assert torch.equal(codebook.nearest(vectors), expected)


def test_a_far_vector_lands_on_the_threshold_along_the_line_to_its_centroid() -> None:
    codebook = Codebook(
        centroids=torch.tensor([[0.0, 0.0], [10.0, 0.0]]),
        counts=torch.tensor([1, 1]),
        distance_quantiles=torch.tensor([0.0, 1.0]),
    )
    latents = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1, 1)
    clamped = codebook.clamp(latents, threshold=1.0).flatten()
    torch.testing.assert_close(clamped, torch.tensor([0.6, 0.8]), rtol=0, atol=5e-4)


def plain_codebook(*centroids: tuple[float, float]) -> Codebook:
    return Codebook(
        centroids=torch.tensor(centroids),
        counts=torch.ones(len(centroids), dtype=torch.long),
        distance_quantiles=torch.tensor([0.0, 1.0]),
    )


def test_a_vector_at_the_threshold_is_kept() -> None:
    latents = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1, 1)
    assert torch.equal(plain_codebook((0.0, 0.0)).clamp(latents, threshold=5.0), latents)


def test_a_threshold_below_the_rounding_error_gives_the_centroid() -> None:
    latents = torch.tensor([1.1, 0.0]).reshape(1, 2, 1, 1, 1)
    clamped = plain_codebook((1.0, 0.0)).clamp(latents, threshold=1e-4)
    assert clamped.flatten().tolist() == [1.0, 0.0]


def test_the_first_of_equally_near_centroids_is_taken_across_tiles_too() -> None:
    codebook = plain_codebook((9.0, 9.0), *[(1.0, 2.0)] * (2 * CPU_TILE))
    assert codebook.nearest(torch.tensor([[1.0, 2.0]])).tolist() == [1]


def test_the_search_runs_where_the_vectors_are() -> None:
    codebook, latents = make_codebook(), make_latents()
    expected = codebook.clamp(latents, threshold=1.0)
    with torch.device("meta"):
        clamped = codebook.clamp(latents, threshold=1.0)
    assert torch.equal(clamped, expected)


def test_threshold_zero_replaces_by_the_centroid() -> None:
    codebook = make_codebook()
    latents = make_latents()
    clamped = rearrange(codebook.clamp(latents, threshold=0.0), "b c f h w -> (b f h w) c")
    nearest = codebook.nearest(rearrange(latents, "b c f h w -> (b f h w) c"))
    assert torch.equal(clamped, codebook.centroids[nearest])


def test_a_percentile_is_the_interpolated_distance() -> None:
    codebook = make_codebook()
    assert codebook.threshold_at(50) == pytest.approx(4.0)
    assert codebook.threshold_at(0) == 0
    assert codebook.threshold_at(100) == pytest.approx(16.0)
    latents = make_latents()
    assert torch.equal(
        codebook.clamp(latents, percentile=25), codebook.clamp(latents, threshold=codebook.threshold_at(25))
    )


def test_half_precision_latents_keep_their_dtype_and_inside_points() -> None:
    codebook = make_codebook()
    latents = make_latents().bfloat16()
    clamped = codebook.clamp(latents, threshold=1.0)
    inside = (distances(codebook, latents.float()) < 1 - 1e-6).reshape(2, 3, 4, 5)
    assert clamped.dtype == torch.bfloat16
    assert inside.any()
    assert torch.equal(
        rearrange(clamped, "b c ... -> b ... c")[inside], rearrange(latents, "b c ... -> b ... c")[inside]
    )


def test_saving_and_loading_keeps_every_bit(tmp_path: Path) -> None:
    codebook = make_codebook()
    codebook.save(tmp_path / "codebook.safetensors")
    loaded = Codebook.load(tmp_path / "codebook.safetensors")
    assert torch.equal(loaded.centroids, codebook.centroids)
    assert torch.equal(loaded.counts, codebook.counts)
    assert torch.equal(loaded.distance_quantiles, codebook.distance_quantiles)
    with safe_open(tmp_path / "codebook.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "kind": "soul-codebook"}


def test_another_device_keeps_every_bit() -> None:
    codebook = make_codebook()
    moved = codebook.to("cpu")
    assert torch.equal(moved.centroids, codebook.centroids)
    assert torch.equal(moved.counts, codebook.counts)
    assert torch.equal(moved.distance_quantiles, codebook.distance_quantiles)


def test_bad_codebooks_give_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such codebook"):
        Codebook.load(tmp_path / "absent.safetensors")
    (tmp_path / "text").write_text("not tensors")
    with pytest.raises(ValueError, match="not a safetensors file"):
        Codebook.load(tmp_path / "text")
    save_file({"centroids": torch.zeros(3, 4)}, tmp_path / "partial.safetensors")
    with pytest.raises(ValueError, match="no tensor 'counts'"):
        Codebook.load(tmp_path / "partial.safetensors")
    with pytest.raises(ValueError, match=r"^clamp needs exactly one of threshold and percentile$"):
        make_codebook().clamp(make_latents())
    with pytest.raises(ValueError, match=r"\(B, 6, F, H, W\)"):
        make_codebook().clamp(make_latents(channels=5), threshold=1.0)
    with pytest.raises(ValueError, match=r"^threshold must be a distance, got -0\.5$"):
        make_codebook().clamp(make_latents(), threshold=-0.5)
    with pytest.raises(ValueError, match="0 … 100"):
        make_codebook().threshold_at(101)


QUANTILES = "codebook distance_quantiles must"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"centroids": torch.zeros(3)}, "codebook centroids must be (K, C), got (3,)"),
        ({"centroids": torch.zeros(3, 0)}, "codebook centroids must be (K, C), got (3, 0)"),
        ({"counts": torch.ones(2)}, "codebook has 3 centroids but counts (2,)"),
        ({"distance_quantiles": torch.zeros(1)}, f"{QUANTILES} hold at least the 0th and the 100th percentile"),
        ({"distance_quantiles": torch.zeros(2, 2)}, f"{QUANTILES} hold at least the 0th and the 100th percentile"),
        ({"distance_quantiles": torch.tensor([0.0, 2.0, 1.0])}, f"{QUANTILES} ascend"),
        ({"centroids": torch.full((3, 2), torch.nan)}, "codebook centroids hold NaN or infinity"),
    ],
)
def test_tensors_that_do_not_go_together_are_refused(tensors: dict[str, Tensor], message: str) -> None:
    good = {"centroids": torch.zeros(3, 2), "counts": torch.ones(3), "distance_quantiles": torch.zeros(2)}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Codebook(**{**good, **tensors})
