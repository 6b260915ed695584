"""The public PyTorch releases of RetinaFace: what a network needs to know beside its weights.

Releases share their keys and shapes, and differ in what no file says: how pictures are normalised, which anchors the
heads were trained for, and which activation stands between the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MOBILENET: Final = "mobilenet0.25"
RESNET: Final = "resnet50"
STRIDES: Final = (8, 16, 32)
"""Of the three levels, in all releases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One group's weights."""

    source: str
    """Where they are published."""
    backbones: tuple[str, ...]
    anchors_px: tuple[tuple[int, ...], ...]
    """Sides of the square anchors at each place of each level."""
    negative_slope: float
    """Of the rectifiers in the MobileNet and in the necks behind it; the ResNet's are plain."""
    is_rgb: bool
    """Channel order of the input."""
    mean: tuple[float, float, float]
    """Subtracted from 0 to 255, in the order of the channels."""
    spread: tuple[float, float, float]
    """Divided by."""


RELEASES: Final[Mapping[str, Release]] = MappingProxyType(
    {
        "pytorch_retinaface": Release(
            source="github.com/biubug6/Pytorch_Retinaface",
            backbones=(MOBILENET, RESNET),
            anchors_px=((16, 32), (64, 128), (256, 512)),
            negative_slope=0.1,
            is_rgb=False,
            mean=(104.0, 117.0, 123.0),
            spread=(1.0, 1.0, 1.0),
        ),
        "face_detector_1mb": Release(
            source="github.com/biubug6/Face-Detector-1MB-with-landmark",
            backbones=(MOBILENET,),
            anchors_px=((10, 20), (32, 64), (128, 256)),
            negative_slope=0.0,
            is_rgb=False,
            mean=(104.0, 117.0, 123.0),
            spread=(1.0, 1.0, 1.0),
        ),
        "ternaus": Release(
            source="github.com/ternaus/retinaface",
            backbones=(RESNET,),
            anchors_px=((16, 32), (64, 128), (256, 512)),
            negative_slope=0.0,
            is_rgb=True,
            mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            spread=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        ),
    }
)
"""By the name that a profile may give."""
