"""The second look at cuts with DINOv2 (paper, Sec. 4.1): how far apart the network places the two sides.

Legend: B pictures, D width of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.batches import Batched
from curation.backends.picture.cut_checker import GAP_FRAMES, CutWindow, Picture
from curation.backends.picture.embedder import projected
from curation.backends.settings import PLACEMENT, require
from infra.config import ConfigError

if TYPE_CHECKING:
    import torch

FILES: Final = ("config.json", "preprocessor_config.json")
GET: Final = "get facebook/dinov2-base from the Hugging Face Hub"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dinov2Config:
    """Weights and where they run."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    weights: str = "facebook/dinov2-base"
    """A directory in the layout of transformers, or a Hub id where there is a network."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=64, metadata=PLACEMENT)
    """Pictures that go through the network together."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    @property
    def is_hub_id(self) -> bool:
        """Whether the weights come from the Hub: `owner/name`, and no such directory here."""
        path = Path(self.weights)
        return not path.exists() and not path.is_absolute() and len(path.parts) == 2 and not path.parent.is_dir()

    def missing(self) -> list[str]:
        """See `ModelSettings`; whether the Hub can be reached shows when it is loaded."""
        if self.is_hub_id or all((Path(self.weights) / name).is_file() for name in FILES):
            return []
        return [f"no DINOv2 at {self.weights}: {GET}, a directory with {', '.join(FILES)} and the weights"]

    def found(self) -> str:
        """See `ModelSettings`."""
        return f"{self.weights}{' from the Hub' if self.is_hub_id else ''}, device {self.device}"


class Dinov2:
    """One minus the cosine of the class tokens of the pictures before and after a cut."""

    reach_frames = GAP_FRAMES

    def __init__(self, config: Dinov2Config) -> None:
        """Load the weights.

        Raises:
            ConfigError: they are missing or of another network, or there is no such device.
        """
        # Profiles are read, and these settings with them, by processes that should not wait for torch.
        from curation.backends.torch_device import torch_device  # noqa: PLC0415

        require(config)
        self.device = torch_device(config.device)
        network, self.processor = load_dinov2(config.weights)
        self.network = network.to(self.device)
        self._embed = Batched(self._run, size=config.batch_size, what="DINOv2")

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        """See `CutChecker`: 0 to 2."""
        tokens = self._embed([side for window in windows for side in (window.before, window.after)])
        return [float(1 - before @ after) for before, after in zip(tokens[::2], tokens[1::2], strict=True)]

    def embed(self, pictures: Sequence[Picture]) -> list[bytes]:
        """See `PictureEmbedder`."""
        return [projected(token) for token in self._embed(pictures)]

    def _run(self, pictures: Sequence[Picture]) -> Sequence[npt.NDArray[np.float32]]:
        """`(H, W, 3)` BGR each → class tokens `(B, D)` of length 1."""
        import torch  # noqa: PLC0415

        images = [cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures]
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            tokens = self.network(pixel_values=pixels.to(self.device)).last_hidden_state[:, 0].float()
        return list(torch.nn.functional.normalize(tokens, dim=1).cpu().numpy())


def load_dinov2(weights: str) -> tuple[torch.nn.Module, Any]:
    """The network of a directory or a Hub id, ready to run on the CPU, and what scales and normalises its pictures.

    Raises:
        ConfigError: it cannot be loaded, or is another network.
    """
    import transformers  # noqa: PLC0415

    try:
        kind = transformers.AutoConfig.from_pretrained(weights).model_type
        if kind == "dinov2":
            network: torch.nn.Module = transformers.Dinov2Model.from_pretrained(weights).eval()
            # By name: the automatic choice depends on whether torchvision is installed, and so would the pixels.
            processor = transformers.BitImageProcessorPil.from_pretrained(weights)
            return network.requires_grad_(requires_grad=False), processor
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{weights} cannot be loaded as DINOv2 ({str(error).splitlines()[0]}): {GET}") from error
    raise ConfigError(f"{weights} is {kind} and not DINOv2: {GET}")
