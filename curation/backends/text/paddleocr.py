"""PaddleOCR's text detection, the paper's, by the real library (PaddleOCR 3, PaddlePaddle 3).

Its packages clash with ours, so its actors run in an environment of its own (`make env-paddle`). This module can be
imported without them: the driver checks the settings and the files, the actor loads the network.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import yaml

from curation.backends.batches import Batched
from curation.backends.settings import PLACEMENT, require
from curation.backends.text.detector import TextBox
from curation.backends.text.outline import text_box
from infra.config import ConfigError

Image = npt.NDArray[np.uint8]

DESCRIPTION: Final = "inference.yml"
WEIGHTS: Final = "inference.pdiparams"
GRAPHS: Final = ("inference.json", "inference.pdmodel")
"""Either holds the network: the first is PaddlePaddle 3's own format, the second the older one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaddleOcrConfig:
    """Weights, and what counts as text."""

    packages: ClassVar[tuple[str, ...]] = ("paddleocr",)
    """PaddlePaddle comes under one name for CPUs and another for GPUs, and PaddleOCR cannot load without it."""

    directory: str = "models/PP-OCRv5_server_det"
    """An inference model as PaddleOCR publishes it: `inference.yml`, the network and its weights."""
    model_name: str = "PP-OCRv5_server_det"
    """Which model it is: the name in its `inference.yml`. PaddleOCR runs a directory only under its own name."""
    download: bool = False
    """Let PaddleOCR download the model of that name on each node, and leave `directory` alone."""
    max_side_px: int = 960
    """Larger pictures are shrunk until their longer side has this length, as PaddleOCR does by default."""
    min_text_probability: float = 0.3
    """Of a pixel that counts as text; PaddleOCR's own value."""
    min_confidence: float = 0.6
    """Mean probability of text in an outline that is reported; PaddleOCR's own value."""
    unclip_ratio: float = 1.5
    """How far outlines are widened, because the network is trained to draw them too tight; PaddleOCR's own value."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=16, metadata=PLACEMENT)
    """Pictures that go through the network together, of all clips in work."""
    threads: int = field(default=0, metadata=PLACEMENT)
    """Threads of the network on a CPU; 0 for those that Ray gives the actor."""

    def __post_init__(self) -> None:
        """Refuse impossible values. Zeros too: PaddleOCR takes its own defaults in their place."""
        if not (0 < self.min_text_probability < 1 and 0 < self.min_confidence < 1):
            raise ValueError(
                "min_text_probability and min_confidence must be between 0 and 1, "
                f"not {self.min_text_probability} and {self.min_confidence}"
            )
        if self.max_side_px < 32 or self.unclip_ratio <= 0:
            raise ValueError("max_side_px must be at least 32 and unclip_ratio above 0")
        if self.batch_size < 1 or self.threads < 0:
            raise ValueError("batch_size must be at least 1 and threads not below 0")

    def missing(self) -> list[str]:
        """See `ModelSettings`."""
        if self.download:
            return []
        folder = Path(self.directory)
        get = (
            f"download {self.model_name}'s inference model from PaddleOCR's list of text detection models and unpack it"
        )
        if not folder.is_dir():
            return [f"no text detection model at {folder}: {get}"]
        absent = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
        if not any((folder / name).is_file() for name in GRAPHS):
            absent.append(" or ".join(GRAPHS))
        if absent:
            return [f"{folder} has no {', '.join(absent)}: {get}"]
        name = _model_name(folder / DESCRIPTION)
        if name != self.model_name:
            return [f"{folder} holds {name or 'a model without a name'} and not {self.model_name}: set model_name"]
        return []

    def found(self) -> str:
        """See `ModelSettings`."""
        if self.download:
            return f"{self.model_name}, downloaded by PaddleOCR, device {self.device}"
        size = (Path(self.directory) / WEIGHTS).stat().st_size
        return f"{self.directory}, {size / 1e6:.1f} MB, device {self.device}"


class PaddleOcrTextDetector:
    """Detection only; pictures of one size go through the network together, those of all threads of the actor."""

    def __init__(self, config: PaddleOcrConfig) -> None:
        """Load the network.

        Raises:
            ConfigError: the weights or the packages are missing, or there is no such device.
        """
        require(config)
        self.config = config
        # Otherwise it asks several servers whether they could be downloaded from, before it reads the directory.
        os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
        try:
            from paddleocr import TextDetection  # noqa: PLC0415 (only its own environment has it)
        except ImportError as error:
            raise ConfigError(
                f"PaddleOCR cannot be imported ({error}): let the stage's pool run in its environment (environment: "
                "paddle), which `make env-paddle` builds"
            ) from error
        self.network = TextDetection(
            model_name=config.model_name,
            model_dir=None if config.download else config.directory,
            device=paddle_device(config.device),
            # oneDNN's kernels fail on some of PaddlePaddle's operators.
            enable_mkldnn=False,
            # Ray sets this to the CPUs of the actor.
            cpu_threads=config.threads or int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
            limit_side_len=config.max_side_px,
            limit_type="max",
            thresh=config.min_text_probability,
            box_thresh=config.min_confidence,
            unclip_ratio=config.unclip_ratio,
        )
        self._batched = Batched(self._detect_batch, size=config.batch_size, what="PaddleOCR")

    def detect(self, images: Sequence[Image]) -> list[tuple[TextBox, ...]]:
        """The text in each `(H, W, 3)` BGR picture, from top to bottom."""
        return self._batched(images)

    def _detect_batch(self, images: Sequence[Image]) -> list[tuple[TextBox, ...]]:
        """Pictures of a run of the network must have one size."""
        found: dict[int, tuple[TextBox, ...]] = {}
        of_size: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            of_size[image.shape].append(place)
        for (height, width, _), places in of_size.items():
            results = self.network.predict([images[place] for place in places], batch_size=len(places))
            for place, result in zip(places, results, strict=True):
                found[place] = text_boxes(result, width, height)
        return [found[place] for place in range(len(images))]


def text_boxes(result: Mapping[str, Any], width: int, height: int) -> tuple[TextBox, ...]:
    """The text that PaddleOCR found in one picture, from top to bottom; it gives the outlines in no order.

    Args:
        result: has `dt_polys`, N outlines of `(4, 2)` corners in pixels of the picture, and `dt_scores`, N numbers.
        width: of the picture, in pixels.
        height: likewise.
    """
    boxes = [
        text_box(np.asarray(quad, np.float64), float(score), width, height)
        for quad, score in zip(result["dt_polys"], result["dt_scores"], strict=True)
    ]
    return tuple(sorted(boxes, key=lambda text: (text.box.y0, text.box.x0)))


def paddle_device(name: str) -> str:
    """PaddlePaddle's name of a device.

    Raises:
        ConfigError: PaddlePaddle has no such device.
    """
    import paddle  # noqa: PLC0415 (only its own environment has it)

    num_gpus = paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0
    kind, _, number = ("cuda" if num_gpus else "cpu", "", "") if name == "auto" else name.partition(":")
    if kind == "cpu":
        return "cpu"
    if kind != "cuda" or (number and not number.isdigit()):
        raise ConfigError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:N")
    if int(number or 0) >= num_gpus:
        raise ConfigError(
            f"device {name}: PaddlePaddle sees {num_gpus} GPUs here; its build for GPUs comes with make env-paddle "
            "DEVICE=cuda"
        )
    return f"gpu:{int(number or 0)}"


def _model_name(description: Path) -> str | None:
    """The name in an `inference.yml`; None where there is none that can be read."""
    try:
        content = yaml.safe_load(description.read_text())
        return str(content["Global"]["model_name"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return None
