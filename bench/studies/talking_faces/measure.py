"""Reading a drawn face back from pixels: mouth, head, colours, sharpness.

It relies only on the layout of `face`, and knows nothing of the performance. Letters: T frames, S side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from bench.studies.talking_faces.face import HEAD, INSIDE, LAYOUT_SIZE, MOUTH_BELOW, MOUTH_DROP
from bench.studies.talking_faces.identity import PARTS, Lab, lab_of
from bench.studies.talking_faces.performance import HeadMotion

Frames: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

STILL_BELOW: Final = 0.85
"""Standard deviation of the head's place, in pixels of the layout, under which it counts as still. A swing of 2
pixels has 1.4; the tracking of a head at rest has 0.3."""

_HEAD_BOX: Final = (24, 5, 72, 36)
"""Hair, forehead and eyes at rest: x0, y0, x1, y1. The mouth is not in it."""
_SEARCH: Final = 9
"""Pixels of the layout that the head is looked for in each direction."""
_MOUTH_WINDOW: Final = (30, 24)
"""Width and height about the mouth's centre."""
_CHEEKS: Final = ((30, 36, 36, 44), (60, 36, 66, 44))
_PART_BOXES: Final[Mapping[str, tuple[tuple[int, int, int, int], ...]]] = {
    "skin": (*_CHEEKS, (42, 22, 54, 26)),
    "hair": ((40, 9, 56, 15),),
    "shirt": ((30, 86, 66, 95),),
    "background": ((2, 2, 12, 60), (84, 2, 94, 60)),
}
_MOVES: Final = frozenset({"skin", "hair"})


def track_head(frames: Frames, reference: Frames) -> Floats:
    """(T, 2): the head's displacement to the right and down since the reference picture, in pixels of the layout.

    Args:
        frames: (T, S, S, 3) RGB.
        reference: (S, S, 3) RGB, the head at rest.

    The upper half of the head is looked for by normalised correlation of its brightness, to a fraction of a pixel.
    """
    template = _grey(reference)[_HEAD_BOX[1] : _HEAD_BOX[3], _HEAD_BOX[0] : _HEAD_BOX[2]]
    places = np.empty((len(frames), 2))
    for index, frame in enumerate(frames):
        padded = cv2.copyMakeBorder(_grey(frame), *(_SEARCH,) * 4, cv2.BORDER_REPLICATE)
        (x0, y0, x1, y1), reach = _HEAD_BOX, 2 * _SEARCH
        scores = cv2.matchTemplate(padded[y0 : y1 + reach, x0 : x1 + reach], template, cv2.TM_CCOEFF_NORMED)
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        places[index] = (
            column + _peak_offset(scores[row, :], int(column)) - _SEARCH,
            row + _peak_offset(scores[:, column], int(row)) - _SEARCH,
        )
    return places


def mouth_opening(frames: Frames, reference: Frames, shift: Floats | None = None) -> Floats:
    """(T,): opening of the mouth, 0 shut to 1 widest, from how much of its surroundings is dark.

    Args:
        frames: (T, S, S, 3) RGB.
        reference: (S, S, 3) RGB, head at rest, mouth shut; its cheeks say how bright skin is, and what is dark about
            its mouth is taken off.
        shift: (T, 2) as `track_head` gives it; measured here if not given.
    """
    shift = track_head(frames, reference) if shift is None else shift
    skin = part_colours(reference)["skin"][0]

    # An ellipse's area grows with its height: at most 13 wide and 10.3 high, in a window of 30 × 24.
    def darkness(frame: Frames, x: float, y: float) -> float:
        light = lab_of(_to_layout(frame))[..., 0]
        centre = (HEAD[0] + x - 0.5, HEAD[1] + MOUTH_BELOW + y - 0.5)
        window = cv2.getRectSubPix(np.ascontiguousarray(light), _MOUTH_WINDOW, centre)
        return float(np.clip((skin - window) / (skin - INSIDE[0]), -0.2, 1.2).sum())

    shut = darkness(reference, 0.0, 0.0)
    dark = np.array([darkness(frame, x, y) for frame, (x, y) in zip(frames, shift, strict=True)])
    area_of_height = np.pi * 13.0
    return np.asarray((dark - shut) / (area_of_height * MOUTH_DROP), np.float64)


def part_colours(picture: Frames, shift: tuple[float, float] = (0.0, 0.0)) -> dict[str, Lab]:
    """Median CIELAB colour of each of `PARTS` in a picture (S, S, 3) whose head is displaced by `shift`."""
    lab = lab_of(_to_layout(picture))
    dx, dy = (round(v) for v in shift)
    colours = {}
    for part in PARTS:
        x, y = (dx, dy) if part in _MOVES else (0, 0)
        boxes = [_cut(lab, (x0 + x, y0 + y, x1 + x, y1 + y)) for x0, y0, x1, y1 in _PART_BOXES[part]]
        light, green_red, blue_yellow = np.median(np.concatenate(boxes), axis=0).tolist()
        colours[part] = (light, green_red, blue_yellow)
    return colours


def colours_over_time(frames: Frames, shift: Floats, *, every: int = 5) -> dict[str, Floats]:
    """(T / every, 3) for each of `PARTS`: its CIELAB colour on each `every`-th frame of a video."""
    seen = [part_colours(frames[at], (shift[at, 0], shift[at, 1])) for at in range(0, len(frames), every)]
    return {part: np.array([colours[part] for colours in seen], np.float64) for part in PARTS}


def identity_distance(seen: Mapping[str, Floats], wanted: Mapping[str, Lab]) -> dict[str, float]:
    """Mean ΔE of each of `PARTS` between the colours over a video's time and those of a reference picture."""
    return {part: float(np.linalg.norm(seen[part] - np.array(wanted[part]), axis=1).mean()) for part in PARTS}


def head_motion(shift: Floats) -> HeadMotion:
    """Which way the head moves, by the spread of its places (T, 2)."""
    spread_x, spread_y = shift.std(axis=0).tolist()
    if max(spread_x, spread_y) < STILL_BELOW:
        return HeadMotion.STILL
    return HeadMotion.SHAKING if spread_x > spread_y else HeadMotion.NODDING


def sharpness(frames: Frames) -> Floats:
    """(T,): variance of the Laplacian of the brightness (0 to 1), the usual measure of focus."""
    return np.array([cv2.Laplacian(_grey(frame), cv2.CV_32F).var() for frame in frames], np.float64)


def block_edges(frames: Frames, *, side: int = 16) -> float:
    """How much more the picture changes from one block to the next than inside of blocks; 1 where blocks do not show.

    Args:
        frames: (T, S, S, 3) RGB.
        side: of a block in pixels: that of a latent position.

    Mean absolute difference of neighbouring pixels on two sides of a border between blocks, over that of pixels in the
    middle of blocks. A face may have edges that lie on a border: compare with the same face as it was drawn.
    """
    grey = frames.astype(np.float64).mean(axis=-1)
    at_borders, inside = [], []
    for steps in (np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=2)).swapaxes(1, 2)):
        place = (np.arange(steps.shape[1]) + 1) % side
        at_borders.append(steps[:, place == 0].mean())
        inside.append(steps[:, np.abs(place - side // 2) <= side // 4].mean())
    return float(np.sum(at_borders) / max(np.sum(inside), 1e-9))


def opening_jumps(frames: Frames) -> tuple[float, float]:
    """How much the picture changes from frame 0 to 1 and from frame 1 to 2, as mean absolute difference in levels.

    Frame 0 is the picture that the video starts from. Where the first change is much larger than the second, the video
    does not go on from it.
    """
    first, second = (float(np.abs(np.diff(frames[at : at + 2].astype(np.float64), axis=0)).mean()) for at in (0, 1))
    return first, second


def head_jumps(shift: Floats) -> tuple[float, float]:
    """How far the head moves from frame 0 to 1 and from frame 1 to 2, in pixels; `shift` (T, 2) as of `track_head`."""
    first, second = (float(np.hypot(*(shift[at + 1] - shift[at]))) for at in (0, 1))
    return first, second


def correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Pearson's r; 0 when one of them does not vary."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    spread = a.std() * b.std()
    return 0.0 if spread < 1e-12 else float(((a - a.mean()) * (b - b.mean())).mean() / spread)


def _grey(frame: Frames) -> npt.NDArray[np.float32]:
    grey: npt.NDArray[np.float32] = cv2.cvtColor(_to_layout(frame), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return grey


def _to_layout(frame: Frames) -> Frames:
    if frame.shape[0] == LAYOUT_SIZE:
        return frame
    return np.asarray(cv2.resize(frame, (LAYOUT_SIZE, LAYOUT_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def _cut(lab: npt.NDArray[np.float32], box: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    x0, y0, x1, y1 = (min(max(side, 0), LAYOUT_SIZE) for side in box)
    return lab[y0:y1, x0:x1].reshape(-1, 3)


def _peak_offset(scores: npt.NDArray[np.float32], at: int) -> float:
    """Where the parabola through a peak and its neighbours has its top, relative to the peak."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    before, here, after = (float(score) for score in scores[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend
