"""Settings of RetinaFace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from curation.backends.faces.retinaface.releases import RELEASES
from curation.backends.settings import PLACEMENT


@dataclass(frozen=True, kw_only=True, slots=True)
class RetinaFaceConfig:
    """Weights, and which of the boxes that the network proposes are faces."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)

    weights: str = "models/retinaface.pth"
    """A public PyTorch file: mobilenet0.25 or ResNet-50, of any release in `RELEASES`."""
    release: str = "auto"
    """Which release the weights are of. `auto` tells it from the statistics that the weights keep of their
    training, and asks for the name where these are not clear."""
    min_confidence: float = 0.5
    """Probability from which a box is reported at all; which faces count is up to the stages."""
    nms_iou: float = 0.4
    """Of boxes that overlap by more than this the more confident one stays, as in the published code."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=32, metadata=PLACEMENT)
    """Pictures that go through the network together; on a CPU at most 4, because larger batches are slower there (a
    picture of 480 × 854 by the small network: 0.08 s in batches of 4, 0.19 s in batches of 32)."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.release != "auto" and self.release not in RELEASES:
            raise ValueError(f"unknown release {self.release!r}; known: auto, {', '.join(RELEASES)}")
        if not 0 < self.min_confidence < 1:
            raise ValueError(f"min_confidence must be between 0 and 1, got {self.min_confidence}")
        if not 0 <= self.nms_iou <= 1:
            raise ValueError(f"nms_iou must be within [0, 1], got {self.nms_iou}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def missing(self) -> list[str]:
        """See `ModelSettings`."""
        if Path(self.weights).is_file():
            return []
        sources = ", ".join(release.source for release in RELEASES.values())
        return [f"no RetinaFace weights at {self.weights}: get a .pth file of {sources}"]

    def found(self) -> str:
        """See `ModelSettings`."""
        return f"{self.weights}, {Path(self.weights).stat().st_size / 1e6:.1f} MB, device {self.device}"
