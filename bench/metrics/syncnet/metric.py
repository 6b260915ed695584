"""LSE-D, LSE-C and the offset of a video.

The paper's "LSE-D" column (0.130 to 5.455) is far below any SyncNet distance and is most likely the absolute offset in
frames; both are given here under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from bench.metrics.measured_video import MeasuredVideo, file_hash
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.syncnet.track import FPS, Track, TrackConfig, crop, follow_faces, steady
from bench.metrics.timing import length_s
from bench.metrics.video_sound import hear
from bench.values import Better, Value
from bench.weights.source import Content, WebFile, WebWeights, Weights
from curation.backends.lips.syncnet.mfcc import RATE_HZ
from curation.backends.lips.syncnet.windows import num_windows
from curation.backends.registry import FACE_DETECTORS
from curation.media import sample_frames

if TYPE_CHECKING:
    from curation.backends.lips.syncnet.network import SyncNet

WEIGHTS = "syncnet_v2.model"
"""Below the folder of weights."""
CONTENT = Content(size=54_573_114, sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442")
"""Of the published file, by those who have pinned it; the authors name no checksum."""
REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncNetConfig:
    """Weights, and what makes a track."""

    weights: Path | None = None
    """`syncnet_v2.model`."""
    track: TrackConfig = field(default_factory=TrackConfig)
    """What makes a track."""
    detector: str = "dlib_hog"
    """Face detector. The published pipeline uses S3FD, whose boxes differ somewhat, so the detector is part
    of the protocol."""


class SyncNetMetric(Metric):
    """SyncNet on the largest face of the video."""

    name: ClassVar[str] = "syncnet"
    needs: ClassVar[tuple[str, ...]] = ("the weights file syncnet_v2.model (--syncnet-weights)",)
    weights: ClassVar[tuple[Weights, ...]] = (
        WebWeights(
            url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            licence="none stated for the weights; the authors' code is MIT",
            download=CONTENT,
            files=(WebFile(path=WEIGHTS, content=CONTENT),),
        ),
    )
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="lse_d", better=Better.LOWER, unit="", about="SyncNet distance at the best shift"),
        Value(name="lse_c", better=Better.HIGHER, unit="", about="SyncNet confidence: median minus best distance"),
        Value(name="av_offset", better=Better.ZERO, unit="frames", about="sound before lips, at 25 fps"),
        Value(name="av_offset_abs", better=Better.LOWER, unit="frames", about="the same without its sign"),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.AUDIO})

    def __init__(self, config: SyncNetConfig | None = None) -> None:
        self.config = config or SyncNetConfig()
        self._network: SyncNet | None = None
        self._face: tuple[MeasuredVideo, Track, npt.NDArray[np.uint8]] | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings, and the weights' hash."""
        weights = None if self.config.weights is None else file_hash(self.config.weights)
        track = asdict(self.config.track)
        return {"revision": REVISION, "weights": weights, "detector": self.config.detector, **track}

    def available(self) -> str | None:
        """Load the weights, which this project may not distribute."""
        get = (
            "python -m bench fetch-weights --only syncnet, or get syncnet_v2.model from the authors' page "
            "(www.robots.ox.ac.uk/~vgg/software/lipsync) and pass --syncnet-weights"
        )
        if self.config.weights is None:
            return f"no weights: {get}"
        try:
            self._load()
        except ValueError as error:
            return f"{error}; {get}"
        return None

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        from bench.metrics.syncnet.compare import compare  # noqa: PLC0415 (see _load)

        track, crops = self._watch(video)
        start_s, end_s = track.first_frame / FPS, (track.first_frame + len(crops)) / FPS
        samples = hear(video, RATE_HZ, start_s=start_s, end_s=end_s)
        if num_windows(len(crops), len(samples)) < 1:
            raise NoValueError("face too short", frames=len(crops))
        sync = compare(self._load(), crops, samples)
        return Outcome(
            values={
                "lse_d": sync.lse_d,
                "lse_c": sync.lse_c,
                "av_offset": float(sync.offset_frames),
                "av_offset_abs": float(abs(sync.offset_frames)),
            },
            detail={
                "first_frame": track.first_frame,
                "num_frames": len(crops),
                "distances": [round(float(value), 4) for value in sync.distances],
            },
        )

    def _load(self) -> SyncNet:
        # Workers import every metric; only those that run this one should wait for torch.
        import torch  # noqa: PLC0415

        from curation.backends.lips.syncnet.network import load_syncnet  # noqa: PLC0415

        if self._network is None:
            assert self.config.weights is not None, "asked for availability first"
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._network = load_syncnet(self.config.weights).to(device)
        return self._network

    def _watch(self, video: VideoInput) -> tuple[Track, npt.NDArray[np.uint8]]:
        """The largest face and its crops `(F, 224, 224, 3)`, cached for the last video: most controls keep them."""
        measured = MeasuredVideo.of(video.path)
        if self._face is None or self._face[0] != measured:
            track = largest_face(video.path, self.config)
            self._face = (measured, track, cut_out(video.path, track, self.config.track.median_frames))
        return self._face[1], self._face[2]


def largest_face(path: Path, config: SyncNetConfig) -> Track:
    """The track that covers most of the picture for most of the time.

    Raises:
        MediaError: the video cannot be read.
        NoValueError: there is no track.
    """
    detector, found = FACE_DETECTORS.build(config.detector), []
    for frame in sample_frames(str(path), 0.0, length_s(path), fps=FPS):
        height, width = frame.image.shape[:2]
        scale = np.array([width, height, width, height], np.float64)
        boxes = [face.box for face in detector.detect([frame.image])[0]]
        found.append([np.array([box.x0, box.y0, box.x1, box.y1]) * scale for box in boxes])
    tracks = follow_faces(found, config.track)
    if not tracks:
        seen = sum(bool(boxes) for boxes in found)
        if not seen:
            raise NoValueError("no face")
        is_short = len(found) <= config.track.min_frames
        raise NoValueError("too short" if is_short else "no lasting face", frames=len(found), frames_with_a_face=seen)
    return max(tracks, key=lambda track: track.mean_area * len(track.boxes))


def cut_out(path: Path, track: Track, median_frames: int) -> npt.NDArray[np.uint8]:
    """Crops `(F, 224, 224, 3)` along a track."""
    start_s, places = track.first_frame / FPS, steady(track, median_frames)
    frames = sample_frames(str(path), start_s, start_s + len(places) / FPS, fps=FPS)
    return np.stack([crop(frame.image, *place) for frame, place in zip(frames, places, strict=True)])
