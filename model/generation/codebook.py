"""The codebook of training latents and the threshold-aware clamp of generated ones (paper, Sec. 3.2).

Letters: N vectors, K centroids, C channels of a latent position, B batch, F latent frames, H and W latent
sides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from einops import rearrange
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.weights.files import give_usual_mode

# Scores are searched in tiles of this many rows and columns: 4 MB in fp32, which stays in a core's cache.
# Measured on two CPU cores: 0.6 s for 16,320 × 40,000 at 1,024, 1.1 s at 4,096. On a GPU the tile is larger.
CPU_TILE = 1024
GPU_TILE = 16384

_TENSORS = ("centroids", "counts", "distance_quantiles")


@dataclass(frozen=True, kw_only=True, slots=True)
class Codebook:
    """K-Means centroids of training latents, and how far the training latents lie from them."""

    centroids: Tensor
    """(K, C) fp32, in the space of normalised latents."""
    counts: Tensor
    """(K,) int64: training vectors assigned to each centroid."""
    distance_quantiles: Tensor
    """(Q,) fp32, ascending: Euclidean distance of training vectors to their centroid at Q evenly spaced
    percentiles, the first 0 and the last 100."""

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or 0 in self.centroids.shape:
            raise ValueError(f"codebook centroids must be (K, C), got {tuple(self.centroids.shape)}")
        if self.counts.shape != self.centroids.shape[:1]:
            raise ValueError(f"codebook has {len(self.centroids)} centroids but counts {tuple(self.counts.shape)}")
        if self.distance_quantiles.ndim != 1 or len(self.distance_quantiles) < 2:
            raise ValueError("codebook distance_quantiles must hold at least the 0th and the 100th percentile")
        if self.distance_quantiles.diff().lt(0).any():
            raise ValueError("codebook distance_quantiles must ascend")
        if not torch.isfinite(self.centroids).all():
            raise ValueError("codebook centroids hold NaN or infinity")

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> Self:
        """Read a codebook file.

        Raises:
            ValueError: no such file, not a safetensors file, or a tensor is missing or of the wrong shape.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"no such codebook: {path}")
        try:
            with safe_open(path, framework="pt", device=str(device)) as tensors:
                missing = [name for name in _TENSORS if name not in tensors.keys()]  # noqa: SIM118 (not a dict)
                if missing:
                    raise ValueError(f"{path} is not a codebook: it has no tensor {missing[0]!r}")
                centroids, counts, quantiles = (tensors.get_tensor(name) for name in _TENSORS)
        except SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from error
        return cls(centroids=centroids.float(), counts=counts.long(), distance_quantiles=quantiles.float())

    def save(self, path: str | Path) -> None:
        """Write the codebook as one safetensors file."""
        tensors = {name: getattr(self, name).detach().cpu().contiguous() for name in _TENSORS}
        save_file(tensors, str(path), metadata={"format": "pt", "kind": "soul-codebook"})
        give_usual_mode([Path(path)])

    def to(self, device: str | torch.device) -> Self:
        """The same codebook on another device."""
        return type(self)(
            centroids=self.centroids.to(device),
            counts=self.counts.to(device),
            distance_quantiles=self.distance_quantiles.to(device),
        )

    def threshold_at(self, percentile: float) -> float:
        """The distance that `percentile` (0 to 100) of the training vectors do not exceed, interpolated."""
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile must lie in 0 … 100, got {percentile}")
        position = percentile / 100 * (len(self.distance_quantiles) - 1)
        lower = min(int(position), len(self.distance_quantiles) - 2)
        low, high = self.distance_quantiles[lower : lower + 2].tolist()
        return float(low + (high - low) * (position - lower))

    def clamp(self, latents: Tensor, *, threshold: float | None = None, percentile: float | None = None) -> Tensor:
        """Pull every latent vector that is further than the threshold from its centroid back to the threshold.

        A vector z at a distance d ≤ τ from its centroid c is kept bit for bit; at d > τ it becomes
        c + (z − c)·τ/d (paper, "Threshold-aware codebook replacement"). The radius is less than τ by the
        rounding error of an fp32 nearest-neighbour search (a few 1e-5 of τ), so a clamped vector lies inside
        when it is searched again: clamping twice changes nothing.

        Args:
            latents: (B, C, F, H, W), normalised; computed in fp32 and returned in their own dtype.
            threshold: τ, a Euclidean distance. Exactly one of `threshold` and `percentile` is given.
            percentile: τ as a percentile of the training vectors' distances, 0 to 100.
        """
        if (threshold is None) == (percentile is None):
            raise ValueError("clamp needs exactly one of threshold and percentile")
        radius = self.threshold_at(percentile) if percentile is not None else float(threshold or 0.0)
        if not radius >= 0:
            raise ValueError(f"threshold must be a distance, got {radius}")
        num_channels = self.centroids.shape[1]
        if latents.ndim != 5 or latents.shape[1] != num_channels:
            raise ValueError(f"latents must be (B, {num_channels}, F, H, W), got {tuple(latents.shape)}")

        vectors = rearrange(latents, "b c f h w -> (b f h w) c")
        outside, pulled = _pull(vectors.float(), self.centroids[self.nearest(vectors)], radius)
        clamped = torch.where(outside[:, None], pulled.to(latents.dtype), vectors)
        batch, _, frames, height, width = latents.shape
        return rearrange(clamped, "(b f h w) c -> b c f h w", b=batch, f=frames, h=height, w=width)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index (N,) of the centroid nearest to each of `vectors` (N, C), without an N × K matrix."""
        vectors = vectors.float()
        half_norms = self.centroids.square().sum(dim=1) / 2
        tile = GPU_TILE if vectors.is_cuda else CPU_TILE
        return torch.cat([self._nearest_of_tile(rows, half_norms, tile) for rows in torch.split(vectors, tile)])

    def _nearest_of_tile(self, vectors: Tensor, half_norms: Tensor, tile: int) -> Tensor:
        # The minimum over a row is vectorised; the minimum with its index is not, and has half the speed. So
        # find the tile of centroids that holds the winner first, and then the winner in it, which is
        # 1 / (number of tiles) of the work.
        centroid_tiles = torch.split(self.centroids, tile)
        norm_tiles = torch.split(half_norms, tile)
        best = torch.full((len(vectors),), torch.inf, device=vectors.device)
        winner = torch.zeros(len(vectors), dtype=torch.long, device=vectors.device)
        for index, (centroids, norms) in enumerate(zip(centroid_tiles, norm_tiles, strict=True)):
            score = torch.addmm(norms, vectors, centroids.T, alpha=-1).amin(dim=1)
            winner = torch.where(score < best, index, winner)
            best = torch.minimum(best, score)
        nearest = torch.zeros_like(winner)
        for index in torch.unique(winner).tolist():
            rows = (winner == index).nonzero().squeeze(1)
            scores = torch.addmm(norm_tiles[index], vectors[rows], centroid_tiles[index].T, alpha=-1)
            nearest[rows] = scores.argmin(dim=1) + index * tile
        return nearest


def _pull(vectors: Tensor, centres: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Which vectors (N, C) lie beyond `radius` of their centres, and where each lands when pulled to that radius."""
    offsets = vectors - centres
    distances = torch.linalg.vector_norm(offsets, dim=1)
    # A bound of the error of an fp32 score, as a distance: two centroids whose distances differ by less may
    # swap in a second search.
    magnitude = torch.linalg.vector_norm(vectors, dim=1) + torch.linalg.vector_norm(centres, dim=1)
    slack = 32 * torch.finfo(torch.float32).eps * magnitude.square() / max(radius, 1e-12)
    scale = (radius - slack).clamp(min=0) / distances.clamp(min=1e-30)
    return distances > radius, centres + offsets * scale[:, None]
