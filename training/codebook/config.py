"""How the codebook is clustered. A module of its own, because the libraries that cluster take seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

from infra.config import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class CodebookConfig:
    """How the codebook is clustered."""

    centroids: int = 40_000
    """K (paper, Sec. 3.2); fewer when there are not 39 vectors for each."""
    iterations: int = 25
    """Iterations of Lloyd's algorithm at most (faiss's default); the first that gains nothing is the last."""
    seed: int = 1234
    """Seed of the sample and of the first centroids (faiss's default)."""

    def __post_init__(self) -> None:
        for name in ("centroids", "iterations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"codebook: {name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"codebook: seed must lie in 0 … 2147483647, got {self.seed}")
