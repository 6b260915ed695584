"""DINOv2 consistency of the human region over time (paper, Sec. 4.2).

Legend: F frames, D width of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from bench.metrics.measured_video import MeasuredVideo, face_clip, file_hash
from bench.metrics.metric import Metric, NoValueError, Outcome, VideoInput
from bench.values import Better, Value
from bench.weights.source import HubWeights, Weights
from curation.backends.faces.figure import body_box, head_box
from curation.clip.observations import Box

if TYPE_CHECKING:
    import torch

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, RGB."""
FOLDER = "dinov2-base"
"""Below the folder of weights."""
GET = (
    "python -m bench fetch-weights --only dino, or get facebook/dinov2-base from the Hugging Face Hub and pass "
    "--dino DIR (or the Hub id, where there is a network)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DinoConfig:
    """Weights and size."""

    model: str | None = None
    """A directory in the layout of transformers, or a Hub id."""
    side_px: int = 224
    """The region is scaled to a square of this side."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.side_px < 14:
            raise ValueError("side_px must be at least a patch, 14")


class Dino(Metric):
    """Cosines, clipped at 0, of the person on each frame with the first and with the previous frame; their mean."""

    name: ClassVar[str] = "dino"
    needs: ClassVar[tuple[str, ...]] = ("DINOv2 in the layout of transformers (--dino)",)
    weights: ClassVar[tuple[Weights, ...]] = (
        HubWeights(
            repository="facebook/dinov2-base",
            licence="Apache-2.0",
            about_bytes=346_000_000,
            patterns=("config.json", "preprocessor_config.json", "model.safetensors"),
            folder=FOLDER,
        ),
    )
    values: ClassVar[tuple[Value, ...]] = (
        Value(
            name="dino", better=Better.HIGHER, unit="", about="consistency of the person with first and previous frame"
        ),
        Value(name="dino_first", better=Better.HIGHER, unit="", about="cosine with the first frame alone"),
    )

    def __init__(self, config: DinoConfig | None = None) -> None:
        self.config = config or DinoConfig()
        self._network: torch.nn.Module | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings, and the weights' hash (or the Hub id)."""
        model = self.config.model
        if model is not None and Path(model).is_dir():
            model = "+".join(file_hash(path) for path in sorted(Path(model).glob("*.safetensors")))
        return {"revision": REVISION, "model": model, "side_px": self.config.side_px, "detector": "dlib_hog"}

    def available(self) -> str | None:
        """Load the weights, which this project may not distribute."""
        if self.config.model is None:
            return f"no weights: {GET}"
        try:
            self._load()
        except (OSError, ValueError, RuntimeError) as error:
            return f"{self.config.model} cannot be loaded ({str(error).splitlines()[0]}): {GET}"
        return None

    def measure(self, video: VideoInput) -> Outcome:
        """See the class; on keyframes twice a second that show the main face."""
        clip = face_clip(MeasuredVideo.of(video.path))
        boxes = {time_s: face.box for time_s, face in zip(clip.tracks[0].times_s, clip.tracks[0].faces, strict=True)}
        people = [cut_person(frame.image(), boxes[frame.time_s]) for frame in clip.keyframes if frame.time_s in boxes]
        if len(people) < 2:
            raise NoValueError("too short" if len(clip.keyframes) < 2 else "face too short", frames=len(people))
        features = self.embed(people)
        first, previous = consistency(features)
        return Outcome(
            values={"dino": float(((first + previous) / 2).mean()), "dino_first": float(first.mean())},
            detail={"first": [round(float(v), 4) for v in first], "previous": [round(float(v), 4) for v in previous]},
        )

    def embed(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Class tokens `(F, D)` of BGR pictures of any size."""
        import torch  # noqa: PLC0415 (see _load)

        network, side = self._load(), self.config.side_px
        device = next(network.parameters()).device
        features = []
        for image in images:
            square = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)[..., ::-1].astype(np.float32) / 255
            pixels = torch.from_numpy(((square - MEAN) / SPREAD).transpose(2, 0, 1)).float()[None]
            with torch.inference_mode():
                states = network(pixel_values=pixels.to(device)).last_hidden_state
            features.append(states[0, 0].float().cpu().numpy())
        return np.stack(features)

    def _load(self) -> torch.nn.Module:
        # Workers import every metric; only those that run this one should wait for torch and transformers.
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415

        if self._network is None:
            assert self.config.model is not None, "asked for availability first"
            network: torch.nn.Module = transformers.Dinov2Model.from_pretrained(self.config.model).eval()
            self._network = network.to("cuda" if torch.cuda.is_available() else "cpu")
        return self._network


def cut_person(image: npt.NDArray[np.uint8], face: Box) -> npt.NDArray[np.uint8]:
    """The part of the picture that shows head and body of the person with this face (figure of eight heads)."""
    aspect = image.shape[1] / image.shape[0]
    head, body = head_box(face, aspect), body_box(face, aspect)
    region = Box(x0=min(head.x0, body.x0), y0=head.y0, x1=max(head.x1, body.x1), y1=max(head.y1, body.y1))
    x0, y0, x1, y1 = region.pixels(image.shape[1], image.shape[0])
    return image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]


def consistency(features: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosines, at least 0, of frames 1 … F − 1 of `(F, D)` with the first and with the previous frame."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    first, previous = unit[1:] @ unit[0], (unit[1:] * unit[:-1]).sum(1)
    return np.maximum(first, 0), np.maximum(previous, 0)
