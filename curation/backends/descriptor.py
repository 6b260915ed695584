"""Frame descriptors: what tells two views of one scene from two scenes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class FrameDescriptor(Protocol):
    """Maps a picture to a unit vector; the distance of two is one minus their scalar product."""

    def describe(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """`(H, W, 3)` BGR → `(D,)` of length 1."""
        ...


def build_descriptor(name: str) -> FrameDescriptor:
    """The descriptor called `name`.

    Raises:
        ValueError: there is none of that name.
    """
    if name == "colour_edges":
        from curation.backends.colour_edges import ColourEdges  # noqa: PLC0415 (backends load on demand)

        return ColourEdges()
    raise ValueError(f"unknown frame descriptor {name!r}; there is colour_edges")
