"""What curating cannot do without: the bare library calls of a run of the `local` profile, recorded and made again.

While a source is curated, the calls of the libraries that do a detector's work are noted with their arguments
(`ENTRY_POINTS`). Made again, they are that run's kernels, beside one decode of the file and one encode of what is kept.
All else is overhead: converting and scaling pictures, keyframes as JPEG, further decodes, arithmetic of our own,
records, checks of what was written. What counts as a kernel, and why a bare implementation could not do without it:

- PyAV decoding each file's video once, as many threads: pictures have to be looked at. Once, because a program with
  enough memory would keep them. Files that are rejected before that are not decoded.
- PyAV decoding the file's sound once, where sound was listened to.
- PySceneDetect's detector on each frame at the size at which cuts are looked for.
- dlib's face detector on the same grey pictures, as often as the stage decides that it must look.
- RapidOCR's text detector on the same keyframes.
- OpenCV's optical flow on the crops of mouths; its corners, tracking, matching and fit of the camera's motion; its
  filters that make up the measures of quality and the search for defects. Not its conversions, scaling, cropping.
- Fourier transforms, resampling and smoothing of sound and of mouths' motion.
- x264 through PyAV on the kept spans' frames as they are written, decoded and converted beforehand, with the same
  options: the mp4 is the same to the byte. A clip whose packets are copied needs no encoding.
"""

from __future__ import annotations

import copy
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import av
import cv2
import dlib
import numpy as np
import soxr
from rapidocr import RapidOCR
from scenedetect import AdaptiveDetector

from curation.backends.faces import crops
from curation.backends.lips import mouth_features
from curation.clip.schema import Clip, Source
from curation.media import iter_raw_frames
from curation.media.colour import Writing, tag_output
from curation.media.cut import written_frame
from curation.media.duration import DEFAULT_RATE
from curation.media.facts import facts_of
from curation.stages.export import ExportConfig

ENTRY_POINTS: Final[tuple[tuple[Any, str], ...]] = (
    (AdaptiveDetector, "process_frame"),
    (dlib.fhog_object_detector, "run"),
    (RapidOCR, "__call__"),
    (cv2.DISOpticalFlow, "calc"),
    (cv2.ORB, "detectAndCompute"),
    (cv2.BFMatcher, "match"),
    *((cv2, name) for name in ("goodFeaturesToTrack", "calcOpticalFlowPyrLK", "estimateAffinePartial2D")),
    *((cv2, name) for name in ("blur", "filter2D", "absdiff", "subtract", "matchTemplate")),
    *((cv2, name) for name in ("Sobel", "magnitude", "Laplacian", "morphologyEx", "connectedComponentsWithStats")),
    *((np.fft, name) for name in ("rfft", "irfft")),
    (soxr, "resample"),
    *((module, "gaussian_filter1d") for module in (mouth_features, crops)),
)
"""Functions and methods of libraries by the module or class that holds them."""
FRAMES_AT_ONCE: Final = 32
"""Frames that are decoded ahead of the encoder: a file's frames together would be gigabytes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    cpu_s: float = 0.0
    """Of all threads of this process; other work on the machine hardly changes it."""
    wall_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)


def cost_of(work: Callable[[], object]) -> Cost:
    """Do it and tell what it took."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu_s, time.perf_counter() - wall_s)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a library, with the arguments that it was given."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]


@dataclass(slots=True)
class Recording:
    """The calls of one source's way through the stages, which changes no array that it has given to a library."""

    stage: str = ""
    """The stage that is running."""
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    """By stage, in order."""
    scans: dict[int, AdaptiveDetector] = field(default_factory=dict)
    """PySceneDetect's detectors as they were before their first frame: they remember the frames."""
    _within: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note every call of an entry point."""
        with ExitStack() as stack:
            for owner, name in ENTRY_POINTS:
                original = getattr(owner, name)
                setattr(owner, name, self._noting(original))
                stack.callback(setattr, owner, name, original)
            yield

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **named: Any) -> Any:
            if self._within:  # a call that another one makes is part of it
                return original(*arguments, **named)
            if isinstance(arguments[0], AdaptiveDetector):
                self.scans.setdefault(id(arguments[0]), copy.deepcopy(arguments[0]))
            self.calls[self.stage].append(Call(original, arguments, named))
            self._within = True
            try:
                return original(*arguments, **named)
            finally:
                self._within = False

        return noting


def bare_kernels(source: Source, recording: Recording, export: ExportConfig) -> dict[str, Cost]:
    """What the kernels of a source that was curated take by themselves, by the stage that needs them.

    Args:
        source: as it came out of the stages.
        recording: what was noted meanwhile.
        export: how its clips were written.
    """
    costs: dict[str, Cost] = defaultdict(Cost)
    for stage, calls in recording.calls.items():
        fresh = {number: copy.deepcopy(scan) for number, scan in recording.scans.items()}
        ready = [_with_fresh(call, fresh) for call in calls]
        costs[stage] += cost_of(lambda ready=ready: _make_again(ready))  # type: ignore[misc]
    if source.media is None:
        return costs
    path = source.media.path
    if "scenes" in source.stage_seconds:
        costs["scenes"] += cost_of(lambda: decode_video(path))
    if any(clip.scores.get("sound_type") is not None for clip in source.clips):
        costs["sync"] += cost_of(lambda: decode_sound(path))
    for clip in source.clips:
        if clip.payload is not None and not clip.payload.stream_copied:
            costs["export"] += encode_again(clip, export)[0]
    return costs


def _with_fresh(call: Call, scans: dict[int, AdaptiveDetector]) -> Call:
    """The call on a detector that has seen nothing yet, where it is one of PySceneDetect's."""
    if not isinstance(call.arguments[0], AdaptiveDetector):
        return call
    return Call(call.function, (scans[id(call.arguments[0])], *call.arguments[1:]), call.named)


def _make_again(calls: list[Call]) -> None:
    for call in calls:
        call.function(*call.arguments, **call.named)


def decode_video(path: str) -> int:
    """Decode a file's video and tell the number of frames."""
    with av.open(path) as container:
        return _decode(container, container.streams[facts_of(path).video_index])


def decode_sound(path: str) -> int:
    """Decode a file's sound and tell the number of frames."""
    sound = facts_of(path).sound
    assert sound is not None, "it was listened to"
    with av.open(path) as container:
        return _decode(container, container.streams[sound.index])


def _decode(container: av.container.InputContainer, stream: av.stream.Stream) -> int:
    stream.codec_context.thread_count = 1
    frames = 0
    for packet in container.demux(stream):
        try:
            frames += len(packet.decode())
        except (av.error.FFmpegError, ValueError):
            continue  # damage ends no file
    return frames


def encode_again(clip: Clip, export: ExportConfig) -> tuple[Cost, bytes]:
    """What encoding a clip's frames takes, and the mp4."""
    path, cost = clip.media.path, Cost()
    facts, sink, writing = facts_of(path), io.BytesIO(), Writing()
    output = av.open(sink, "w", format="mp4")
    options = {"crf": str(export.crf), "preset": export.preset}
    stream = output.add_stream("libx264", rate=facts.rate or DEFAULT_RATE, options=options)
    context, first_ticks = stream.codec_context, None
    waiting: list[av.VideoFrame] = []

    def encode() -> None:
        for frame in waiting:
            output.mux(stream.encode(frame))

    for raw in iter_raw_frames(path, clip.start_s, clip.end_s):
        frame = written_frame(raw, clip.crop, writing)
        if first_ticks is None:
            first_ticks = raw.ticks
            stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            context.time_base, context.thread_count = facts.time_base, 1
            tag_output(context)
        frame.pict_type = 0
        frame.pts, frame.time_base = raw.ticks - first_ticks, facts.time_base
        waiting.append(frame)
        if len(waiting) == FRAMES_AT_ONCE:
            cost += cost_of(encode)
            waiting.clear()
    cost += cost_of(encode)
    cost += cost_of(lambda: (output.mux(stream.encode(None)), output.close()))
    return cost, sink.getvalue()
