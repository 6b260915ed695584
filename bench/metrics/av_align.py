"""AV-Align: do the peaks of motion fall on the onsets of the sound (the paper's "Audio-Video Alignment").

Yariv et al. 2024, "Diverse and Aligned Audio-to-Video Generation via Text-to-Video Model Adaptation". The original
measures each video at its own rate and size. But the flow in pixels grows with the size, while the threshold of a peak
and the flow's smoothing windows stay the same, and peaks match onsets within one frame. So published scores of videos
of different sizes cannot be compared. Here peaks are looked for at one rate and one size. The size is 384, for which
the original was made (all of its published configurations): there every constant in pixels has the effect that its
authors saw, and on such videos this metric and the original are the same.

Much of a score is chance: the more peaks, the more of them meet an onset. On 26 published videos that score 0.191, the
same number of peaks on random frames scores 0.176 (`bench.studies.published`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from librosa import frames_to_time
from librosa.onset import onset_detect, onset_strength

from bench.metrics.measured_video import MeasuredVideo
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.timing import frame_rate, length_s
from bench.metrics.video_sound import hear
from bench.values import Better, Value
from curation.media import sample_frames

REVISION = 2
"""Raised whenever the code gives other numbers for the same settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AvAlignConfig:
    """How peaks are found."""

    fps: float = 25.0
    """Frames a second that the video is read at; pairs match within one frame. 0 keeps the video's own."""
    short_edge: int = 384
    """Pixels that pictures are scaled to, down or up. 0 keeps the video's own size, as the original does."""
    min_motion: float = 0.1
    """Mean flow in pixels a frame from which a local maximum is a peak; the original's value. At 384 pixels and 25
    frames a second it is 0.65 % of the short edge a second; at 256 pixels it would be 1.5 times that motion."""
    sample_rate_hz: int = 22_050
    """Of the sound; librosa's default, which the original uses."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.fps < 0 or self.short_edge < 0 or self.min_motion < 0 or self.sample_rate_hz <= 0:
            raise ValueError("fps, short_edge and min_motion must not be negative, and sample_rate_hz above 0")


class AvAlign(Metric):
    """Intersection over union of sound onsets and motion peaks."""

    name: ClassVar[str] = "av_align"
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="av_align", better=Better.HIGHER, unit="", about="onsets and motion peaks that meet, over all"),
        Value(
            name="av_align_reuse",
            better=Better.HIGHER,
            unit="",
            about="the same with a motion peak serving several onsets, as the original did before 2025-02",
        ),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.AUDIO})

    def __init__(self, config: AvAlignConfig | None = None) -> None:
        self.config = config or AvAlignConfig()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings, and the versions of the libraries that find onsets and flow."""
        libraries = {"librosa": version("librosa"), "opencv": cv2.__version__}
        return {"revision": REVISION, **asdict(self.config), **libraries}

    def measure(self, video: VideoInput) -> Outcome:
        """See the class. Without onsets there is nothing to align to; a video that never moves scores 0."""
        fps = self.config.fps or frame_rate(video.path)
        sound = hear(video, self.config.sample_rate_hz)
        motion = mean_flow(MeasuredVideo.of(video.path), fps, self.config.short_edge)
        onsets_s = find_onsets(sound, self.config.sample_rate_hz)
        peaks_s = find_peaks(motion, fps, self.config.min_motion)
        if not onsets_s:
            raise NoValueError("no onsets")
        return Outcome(
            values={
                "av_align": alignment(onsets_s, peaks_s, 1 / fps, reuse=False),
                "av_align_reuse": alignment(onsets_s, peaks_s, 1 / fps, reuse=True),
            },
            detail={
                "onsets_s": [round(time_s, 3) for time_s in onsets_s],
                "peaks_s": [round(time_s, 3) for time_s in peaks_s],
                "motion": [round(float(value), 3) for value in motion],
                "fps": fps,
            },
        )


def find_onsets(samples: npt.NDArray[np.int16], sample_rate_hz: int) -> list[float]:
    """Times in seconds at which sounds begin."""
    sound = samples.astype(np.float32) / 32768
    strength = onset_strength(y=sound, sr=sample_rate_hz)
    frames = onset_detect(onset_envelope=strength, sr=sample_rate_hz)
    return [float(time_s) for time_s in frames_to_time(frames, sr=sample_rate_hz)]


@lru_cache(maxsize=2)
def mean_flow(measured: MeasuredVideo, fps: float, short_edge: int) -> npt.NDArray[np.float64]:
    """Mean length of the optical flow into each frame in pixels, `(F,)`; the first frame has the second's.

    Cached for the last two videos, because most controls change only the sound.

    Raises:
        MediaError: the video cannot be read.
        NoValueError: it has fewer than three frames at this rate, so that there can be no peak.
    """
    end_s = length_s(measured.path)
    lengths: list[float] = []
    before: npt.NDArray[np.uint8] | None = None
    for frame in sample_frames(measured.path, 0.0, end_s, fps=fps, short_edge=short_edge or None):
        grey = enlarge(np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8), short_edge)
        if before is not None:
            lengths.append(flow_length(before, grey))
        before = grey
    if len(lengths) < 2:
        raise NoValueError("too short")
    return np.array([lengths[0], *lengths])


def flow_length(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    """Mean length of the flow in pixels from one `(H, W)` picture to the next, with the original's settings."""
    if np.array_equal(before, after):
        # So are most frames of a still video. Flow between them is only rounding, and costs as much as any other.
        return 0.0
    flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return float(cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0])


def enlarge(grey: npt.NDArray[np.uint8], short_edge: int) -> npt.NDArray[np.uint8]:
    """The picture `(H, W)`, scaled up where its short edge is below `short_edge` pixels."""
    height, width = grey.shape
    scale = short_edge / min(height, width)
    if scale <= 1:
        return grey
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def find_peaks(motion: npt.NDArray[np.float64], fps: float, min_motion: float) -> list[float]:
    """Times in seconds of strict local maxima of at least `min_motion`."""
    inside = motion[1:-1]
    peak = (inside > motion[:-2]) & (inside > motion[2:]) & (inside >= min_motion)
    return [float(index / fps) for index in np.flatnonzero(peak) + 1]


def alignment(onsets_s: Sequence[float], peaks_s: Sequence[float], within_s: float, *, reuse: bool) -> float:
    """Intersection over union: each onset takes the first peak closer than `within_s`.

    Args:
        onsets_s: sound onsets, rising.
        peaks_s: motion peaks, rising.
        within_s: a frame's duration.
        reuse: whether a peak may be taken more than once (as in the original before 2025-02; it inflates the score).

    Raises:
        ValueError: there is neither an onset nor a peak.
    """
    if not onsets_s and not peaks_s:
        raise ValueError("nothing to align")
    used: set[int] = set()
    matches = 0
    for onset_s in onsets_s:
        near = (i for i, peak_s in enumerate(peaks_s) if abs(peak_s - onset_s) < within_s and (reuse or i not in used))
        taken = next(near, None)
        if taken is not None:
            used.add(taken)
            matches += 1
    return matches / (len(onsets_s) + len(peaks_s) - matches)
