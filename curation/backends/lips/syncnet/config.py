"""Settings of SyncNet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from curation.backends.settings import PLACEMENT


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncNetConfig:
    """Weights and where they run."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)

    weights: str = "models/syncnet_v2.model"
    """The published file."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=64, metadata=PLACEMENT)
    """Windows of five crops, or of sound, that go through the network together."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def missing(self) -> list[str]:
        """See `ModelSettings`."""
        if Path(self.weights).is_file():
            return []
        page = "www.robots.ox.ac.uk/~vgg/software/lipsync"
        return [f"no SyncNet weights at {self.weights}: get syncnet_v2.model from the authors' page, {page}"]

    def found(self) -> str:
        """See `ModelSettings`."""
        return f"{self.weights}, {Path(self.weights).stat().st_size / 1e6:.0f} MB, device {self.device}"
