"""How stable the picture is over time, measured without weights: sharpness, colour drift, seams, flicker, freezes.

Legend: F frames, S seconds (the last may be incomplete), G grid cells each way. Colours are CIE L*a*b*, differences
ΔE (1976).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from bench.metrics.metric import Metric, NoValueError, Outcome, VideoInput
from bench.metrics.timing import shown_times
from bench.values import Better, Value
from curation.media import MediaError, iter_frames

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
GRID = 16
"""Cells each way over which brightness is averaged for flicker."""
SHORT_S = 1.0
"""A video of one or two frames is `too short` if it lasts less than this; otherwise it has `too few frames`."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AppearanceConfig:
    """Sizes and limits."""

    short_edge: int = 480
    """Pixels that pictures are scaled down to, so that the sharpness of videos of different sizes can be compared."""
    first_seam: int = 109
    """Frames of the first clip (the paper's clip length): the first seam lies before the frame with this index."""
    clip_frames: int = 100
    """New frames of every later clip."""
    frozen_change: float = 0.02
    """Mean absolute change of brightness (0 to 255), at a short edge of 120 pixels, below which a frame repeats the one
    before. On a still picture x264 settles within ten frames and then changes by less than 0.01, except at key frames.
    Of 26 published videos 21 have no such frame; the calmest has 11 %, 0.4 s of them in a row. Videos that hold the
    first frame for the same time have 99 %, 12 s or more in a row [measured]."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if min(self.short_edge, self.first_seam, self.clip_frames) < 1 or self.frozen_change < 0:
            raise ValueError("short_edge, first_seam and clip_frames must be at least 1, frozen_change not negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is measured on each frame."""

    sharpness: Floats
    """`(F,)` standard deviation of the Laplacian of brightness."""
    colour: Floats
    """`(F, 3)` mean L*a*b*."""
    light: Floats
    """`(F, G · G)` brightness of the cells, 0 to 255."""
    change: Floats
    """`(F,)` mean absolute change of brightness from the frame before; 0 for the first."""
    times_s: Floats
    """`(F,)` when each frame is shown."""


class Appearance(Metric):
    """Measures of the whole picture."""

    name: ClassVar[str] = "appearance"
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="sharpness", better=Better.HIGHER, unit="", about="spread of the Laplacian at short edge 480"),
        Value(name="sharpness_kept", better=Better.HIGHER, unit="", about="last second's sharpness over the first's"),
        Value(name="colour_drift", better=Better.LOWER, unit="ΔE", about="last second's mean colour from the first's"),
        Value(name="colour_drift_max", better=Better.LOWER, unit="ΔE", about="the furthest second's from the first's"),
        Value(
            name="seam_jump",
            better=Better.LOWER,
            unit="ΔE",
            about="colour step at the clips' seams beyond the usual step (only where the video has a seam)",
        ),
        Value(name="flicker", better=Better.LOWER, unit="/255", about="brightness of cells going to and fro"),
        Value(name="frozen", better=Better.LOWER, unit="", about="share of frames that repeat the one before"),
        Value(name="longest_freeze", better=Better.LOWER, unit="s", about="longest time without any change"),
    )

    def __init__(self, config: AppearanceConfig | None = None) -> None:
        self.config = config or AppearanceConfig()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings and versions."""
        return {"revision": REVISION, **asdict(self.config), "opencv": cv2.__version__}

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        look = watch(video, self.config.short_edge)
        colours, sharpness = (
            by_second(look.colour, look.times_s),
            by_second(look.sharpness[:, None], look.times_s)[:, 0],
        )
        drift = np.linalg.norm(colours - colours[0], axis=1)
        steps = np.linalg.norm(np.diff(look.colour, axis=0), axis=1)
        frozen = look.change[1:] < self.config.frozen_change
        values = {
            "sharpness": float(look.sharpness.mean()),
            "sharpness_kept": float(sharpness[-1] / max(sharpness[0], 1e-6)),
            "colour_drift": float(drift[-1]),
            "colour_drift_max": float(drift.max()),
            "flicker": flicker(look.light),
            "frozen": float(frozen.mean()),
            "longest_freeze": longest_stretch_s(frozen, np.diff(look.times_s)),
        }
        seams = range(self.config.first_seam, len(look.colour), self.config.clip_frames)
        if seams:
            values["seam_jump"] = float(np.mean([steps[seam - 1] for seam in seams]) - np.median(steps))
        return Outcome(
            values=values,
            detail={"colour_drift_by_second": _rounded(drift), "sharpness_by_second": _rounded(sharpness)},
        )


def watch(video: VideoInput, short_edge: int) -> Look:
    """Measure every frame.

    Raises:
        MediaError: the video cannot be read.
        NoValueError: it has fewer than three frames.
    """
    sharpness, colour, light, change, times_s = [], [], [], [], []
    before: npt.NDArray[np.float32] | None = None
    for frame in iter_frames(str(video.path), short_edge=short_edge):
        grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
        sharpness.append(float(cv2.Laplacian(grey, cv2.CV_32F).std()))
        light.append(cv2.resize(grey.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA).ravel())
        colour.append(mean_colour(frame.image))
        small = _small(grey)
        change.append(0.0 if before is None or before.shape != small.shape else float(np.abs(small - before).mean()))
        times_s.append(frame.time_s)
        before = small
    if not times_s:
        shown_times(video.path)  # raises the reason, unless frames have times but none can be decoded
        raise MediaError("undecodable", "no frame could be decoded")
    if len(times_s) < 3:
        is_short = times_s[-1] - times_s[0] < SHORT_S
        raise NoValueError("too short" if is_short else "too few frames", frames=len(times_s))
    return Look(
        sharpness=np.array(sharpness),
        colour=np.array(colour),
        light=np.array(light, np.float64),
        change=np.array(change),
        times_s=np.array(times_s),
    )


def mean_colour(image: npt.NDArray[np.uint8]) -> Floats:
    """`(H, W, 3)` BGR to its mean L*a*b*, `(3,)`."""
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return np.asarray(lab.mean((0, 1)), np.float64)


def by_second(values: Floats, times_s: Floats) -> Floats:
    """Medians `(S, C)` of `(F, C)` over each second; a last one of less than half a second joins the one before."""
    seconds = np.floor(times_s - times_s[0] + 1e-6).astype(int)
    if seconds[-1] > 0 and times_s[-1] - times_s[0] - seconds[-1] < 0.5:
        seconds[seconds == seconds[-1]] = seconds[-1] - 1
    return np.array([np.median(values[seconds == second], axis=0) for second in np.unique(seconds)])


def flicker(light: Floats) -> float:
    """How much cells `(F, G · G)` go to and fro: the mean of the smaller of two successive, opposite steps.

    Steady motion, fades and cuts go in one direction and do not count.
    """
    steps = np.diff(light, axis=0)
    turning = np.sign(steps[1:]) * np.sign(steps[:-1]) < 0
    return float((np.minimum(np.abs(steps[1:]), np.abs(steps[:-1])) * turning).mean())


def longest_stretch_s(flags: npt.NDArray[np.bool_], lengths_s: Floats) -> float:
    """Duration of the longest run of true flags `(N,)`, where each flag lasts as long as `lengths_s` `(N,)` says."""
    longest = stretch = 0.0
    for flag, length_s in zip(flags, lengths_s, strict=True):
        stretch = stretch + float(length_s) if flag else 0.0
        longest = max(longest, stretch)
    return longest


def _small(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    scale = 120 / min(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 3) for value in values]
