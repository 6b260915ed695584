"""How a player turns and mirrors the stored picture: the display matrix that a container gives."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type


@dataclass(frozen=True, kw_only=True, slots=True)
class Orientation:
    """What is done to the stored picture to show it: first mirrored left to right, then turned."""

    rotation_deg: int = 0
    """Clockwise: 0, 90, 180 or 270."""
    mirrored: bool = False

    @property
    def upright(self) -> bool:
        """Whether nothing is done."""
        return not self.rotation_deg and not self.mirrored

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` as stored → as shown."""
        image = image[:, ::-1] if self.mirrored else image
        return np.ascontiguousarray(np.rot90(image, -self.rotation_deg // 90 % 4), np.uint8)


def orientation_of(frame: av.video.frame.VideoFrame) -> Orientation:
    """The nearest of the eight orientations; upright when the file does not say or says nonsense."""
    data = next((bytes(side) for side in frame.side_data if side.type == Type.DISPLAYMATRIX), b"")
    if len(data) < 36:
        return Orientation()
    # Nine 32-bit numbers; (x, y) of a stored pixel is shown at (a·x + c·y, b·x + d·y), y pointing down.
    a, b, _, c, d = np.frombuffer(data[:20], "<i4").astype(np.float64)
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation()
    if determinant < 0:
        # The matrix is a turn after a mirroring; undo the mirroring, which negates x.
        a, b = -a, -b
    turn = np.degrees(np.arctan2(b, a))
    return Orientation(rotation_deg=round(turn / 90) * 90 % 360, mirrored=bool(determinant < 0))


def sample_aspect_ratio(stream: av.video.stream.VideoStream) -> Fraction:
    """Width over height of a stored pixel; 1 when the file does not say or says nonsense."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1)


def display_size(width: int, height: int, aspect: Fraction, rotation_deg: int) -> tuple[int, int]:
    """Width and height as a player shows them: pixels made square, then turned."""
    width = round(width * aspect)
    return (height, width) if rotation_deg in (90, 270) else (width, height)
