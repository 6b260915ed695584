"""The one full decode of a source: shots, keyframes and per-frame statistics (paper, Sec. 4.1)."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.defects.combing import combed_share
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.picture.cut_checker import CutChecker, CutWindow
from curation.backends.registry import CUT_CHECKERS
from curation.clip.observations import FrameStats, Keyframe
from curation.clip.schema import Shot, Source
from curation.media import RawFrame, file_end_s, frame_times, iter_raw_frames
from curation.rules.rule import Limit, Rule, decide_source
from infra.terminal import off_the_terminal

with off_the_terminal():
    # PySceneDetect runs FFmpeg's command when it is imported, to see whether it is there. That command sets the
    # terminal's modes, and job control would stop a run that was started in the background of the shell.
    from scenedetect import AdaptiveDetector, FrameTimecode


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenesConfig:
    """Cut detection and what is kept of the decode."""

    adaptive_threshold: float = 3.0
    """PySceneDetect's AdaptiveDetector default."""
    min_content_value: float = 15.0
    """PySceneDetect's AdaptiveDetector default."""
    min_shot_frames: int = 15
    """PySceneDetect's default: no two cuts closer than this."""
    backend: str = "colour_edges"
    """What looks at each cut a second time. DINOv2 in the paper."""
    min_cut_distance: float = 0.02
    """A cut is kept only if the pictures on its two sides differ by this. With `colour_edges`, real cuts measure 0.03
    (a jump within one scene) to 0.66, frames as far apart within a shot 0.002 to 0.02 [measured on labelled clips]."""
    keyframes_per_s: float = 2.0
    keyframe_short_edge_px: int = 480
    """Larger frames are scaled down; dlib's recall was measured at this size."""
    jpeg_quality: int = 90
    max_damaged_frames: int = 0
    """A source with more frames than this that the decoder could not fully decode fails."""
    max_combed_share: float = 0.003
    """A source is rejected when more than this share of its keyframes' pixels is combed: interlaced video that is not
    marked as such, and so was not deinterlaced [progressive footage: up to 0.00002, strong noise 0.001, moving
    interlaced video: from 0.04]."""
    max_missing_share: float = 0.1
    """A unit whose pictures end before its claimed duration by more than this share of it is truncated, unless the file
    goes on, with sound alone or with pictures after a pause."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a source that could be decoded."""
        combed = Limit("scenes_combed_share", ">", self.max_combed_share, "max_combed_share")
        return (Rule(name="combed", limits=(combed,)),)


STAGE = "scenes"
ANALYSIS_SHORT_EDGE_PX = 144
"""Cuts and statistics are measured at this size: a frame costs under a millisecond."""
CUTS_AT_ONCE = 32
"""Cuts that are checked together: a network wants many pictures, and those of one cut are up to 6 MB."""


class SceneDetection:
    """Fill in a source's shots, keyframes and frame statistics."""

    def __init__(self, config: ScenesConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.checker = CUT_CHECKERS.build(config.backend, models)

    def __call__(self, source: Source) -> Source:
        """The source with its shots; failed when it is damaged or truncated, rejected when it is combed or empty."""
        assert source.media is not None
        path, info = source.media.path, source.media.info
        scan = _Scan(self.config, self.checker, info.fps or 25.0)
        for frame in iter_raw_frames(path, source.segment_start_s, source.segment_end_s):
            scan.add(frame)
        if not scan.times_s:
            return _without_frames(source, info.duration_s)
        if scan.num_damaged > self.config.max_damaged_frames:
            return source.fail(STAGE, "damaged_frames", f"{scan.num_damaged} of {len(scan.times_s)} frames")
        source = source.with_scores(scenes_combed_share=float(np.mean(scan.combed)))
        source = decide_source(source, STAGE, self.config.rules)
        if not source.active:
            return replace(source, keyframes=tuple(scan.keyframes))
        end_s = min(scan.times_s[-1] + scan.frame_period_s, source.segment_end_s)
        expected_s = min(info.duration_s, source.segment_end_s)
        least_s = source.segment_start_s + (expected_s - source.segment_start_s) * (1 - self.config.max_missing_share)
        # A file may go on with sound alone, or after a pause.
        if end_s < least_s and file_end_s(path) < least_s:
            return source.fail(STAGE, "truncated", f"ends at {end_s:.2f} s of {expected_s:.2f} s")
        return replace(source, shots=scan.shots(end_s), keyframes=tuple(scan.keyframes), stats=scan.stats())


def _without_frames(source: Source, claimed_s: float) -> Source:
    """A unit without frames: failed if damaged or after the end of a truncated file; else rejected as `empty`, a
    pause."""
    assert source.media is not None
    start_s, end_s = source.segment_start_s, source.segment_end_s
    if any(start_s <= time_s < end_s for time_s in frame_times(source.media.path)):
        return source.fail(STAGE, "undecodable", "no frame could be decoded")
    file_s = file_end_s(source.media.path)
    if file_s <= start_s < claimed_s:
        return source.fail(STAGE, "truncated", f"ends at {file_s:.2f} s of {claimed_s:.2f} s")
    return source.reject(STAGE, "empty", 0.0, 1.0)


class _Scan:
    """State of the pass over the frames."""

    def __init__(self, config: ScenesConfig, checker: CutChecker, fps: float) -> None:
        self.config = config
        self.checker = checker
        self.fps = fps
        self.detector = AdaptiveDetector(
            adaptive_threshold=config.adaptive_threshold,
            min_content_val=config.min_content_value,
            min_scene_len=config.min_shot_frames,
        )
        self.times_s: list[float] = []
        self.keyframes: list[Keyframe] = []
        self.combed: list[float] = []
        self.num_damaged = 0
        self.luma: list[tuple[float, float, float]] = []
        self.cuts: list[int] = []
        self._pending: list[int] = []
        self._unchecked: list[tuple[int, CutWindow]] = []
        # The detector reports a cut a few frames late.
        self._recent: deque[tuple[int, npt.NDArray[np.uint8]]] = deque(maxlen=2 * checker.reach_frames + 6)
        self._last_grey: npt.NDArray[np.uint8] | None = None
        self._next_keyframe_s = -np.inf

    def add(self, frame: RawFrame) -> None:
        """Take in the next frame."""
        index = len(self.times_s)
        self.times_s.append(frame.time_s)
        self.num_damaged += frame.damaged
        small = frame.image(ANALYSIS_SHORT_EDGE_PX)
        self._recent.append((index, small))
        self._measure(small)
        if frame.time_s >= self._next_keyframe_s - 1e-6:
            self._keep(frame)
        for cut in self.detector.process_frame(FrameTimecode(index, self.fps), small):
            self._pending.append(cut.frame_num)
        while self._pending and index >= self._pending[0] + self.checker.reach_frames:
            self._gather(self._pending.pop(0))

    def _keep(self, frame: RawFrame) -> None:
        image = frame.image(self.config.keyframe_short_edge_px)
        ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.config.jpeg_quality])
        assert ok
        self.combed.append(combed_share(frame.luma()))
        self.keyframes.append(Keyframe(time_s=frame.time_s, jpeg=jpeg.tobytes()))
        period = 1.0 / self.config.keyframes_per_s
        late = max(0.0, frame.time_s - self._next_keyframe_s)
        # Stay on the grid where frames come often enough; start anew after a gap.
        self._next_keyframe_s = frame.time_s + period - (late if late < period else 0.0)

    def _measure(self, small: npt.NDArray[np.uint8]) -> None:
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        change = 0.0 if self._last_grey is None else cv2.norm(grey, self._last_grey, cv2.NORM_L1) / grey.size
        mean, spread = cv2.meanStdDev(grey)
        self.luma.append((float(mean[0, 0]), float(spread[0, 0]), change))
        self._last_grey = grey

    def _gather(self, cut: int) -> None:
        """Keep the frames around a cut until there are enough cuts to check together."""
        reach = self.checker.reach_frames
        around = [(index, frame) for index, frame in self._recent if cut - reach <= index < cut + reach]
        window = CutWindow([frame for _, frame in around], cut - around[0][0])
        self._unchecked.append((cut, window))
        if len(self._unchecked) >= CUTS_AT_ONCE:
            self._check()

    def _check(self) -> None:
        """Keep those cuts whose two sides show different scenes."""
        if not self._unchecked:
            return
        distances = self.checker.distances([window for _, window in self._unchecked])
        for (cut, _), distance in zip(self._unchecked, distances, strict=True):
            if distance >= self.config.min_cut_distance:
                self.cuts.append(cut)
        self._unchecked.clear()

    @property
    def frame_period_s(self) -> float:
        """Typical time between frames, taken as the duration of the last frame."""
        return float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 1.0 / self.fps

    def shots(self, end_s: float) -> tuple[Shot, ...]:
        """The shots between the cuts that were kept."""
        for cut in self._pending:
            self._gather(cut)
        self._pending.clear()
        self._check()
        edges = [self.times_s[0], *(self.times_s[cut] for cut in self.cuts), end_s]
        return tuple(Shot(start_s=start, end_s=end) for start, end in itertools.pairwise(edges))

    def stats(self) -> FrameStats:
        """The per-frame measurements as arrays."""
        mean, spread, change = np.asarray(self.luma, np.float32).T
        return FrameStats(times_s=np.asarray(self.times_s), luma_mean=mean, luma_std=spread, change=change)
