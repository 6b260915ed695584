"""Cut shots into sub-clips of 4–5 s by the presence of people (paper, Sec. 4.1, labeling step 1)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curation.clip.observations import Keyframe
from curation.clip.schema import Clip, Pool, Shot, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """Length of sub-clips and what counts as people being present."""

    backend: str = "dlib_hog"
    """Face detector that tells where people are present. RetinaFace in the paper."""
    min_clip_s: float = 4.0
    """Paper, Sec. 4.1: sub-clips of 4–5 s."""
    max_clip_s: float = 5.0
    """Paper, Sec. 4.1."""
    min_presence_confidence: float = 0.2
    """Detector score from which a face marks people as present (dlib's own default is 0) [our choice]."""
    max_absence_s: float = 2.0
    """A shorter gap between keyframes with a face is a turned head or a miss, not an absence [our choice]."""
    min_record_s: float = 0.25
    """Spans shorter than this come from frame rounding and get no record of their own."""

    def __post_init__(self) -> None:
        """Refuse lengths that cannot be met."""
        if not 0 < self.min_clip_s <= self.max_clip_s:
            raise ValueError("min_clip_s must lie between 0 and max_clip_s")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a shot that becomes a clip."""

    shot: Shot
    start_s: float
    end_s: float
    rule: str | None
    """The rule that rejects the clip; None for a clip that is kept."""


class Split:
    """Make the clips of a source whose keyframes already have their faces."""

    def __init__(self, config: SplitConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source with its clips; spans without people or too short become rejected clips.

        Where only some clips are wanted, the others are left out. A source in which they are no longer found fails.
        """
        spans: list[Span] = []
        for shot in source.shots:
            spans += self._spans(source, shot)
        clips = {source.clip_key(index): _clip(source, index, span) for index, span in enumerate(spans)}
        if source.wanted is None:
            return replace(source, clips=tuple(clips.values()))
        if lost := sorted(source.wanted - clips.keys()):
            detail = f"{len(lost)} clips of an earlier run are no longer found in it, {lost[0]} first"
            return source.fail("split", "other_clips", detail)
        return replace(source, clips=tuple(clip for key, clip in clips.items() if key in source.wanted))

    def _spans(self, source: Source, shot: Shot) -> list[Span]:
        """Spans of one shot in order of time, each with the rule that rejects it, if any."""
        spans: list[Span] = []
        position = shot.start_s
        for start, end in self._presence(source, shot):
            spans.append(Span(shot, position, start, "no_people"))
            for piece_start, piece_end in pieces(start, end, self.config.min_clip_s, self.config.max_clip_s):
                short = piece_end - piece_start < self.config.min_clip_s - 1e-6
                spans.append(Span(shot, piece_start, piece_end, "too_short" if short else None))
            position = end
        spans.append(Span(shot, position, shot.end_s, "no_people"))
        kept = [span for span in spans if span.end_s - span.start_s >= self.config.min_record_s]
        # Every shot leaves a record, however short it is.
        return kept or [Span(shot, shot.start_s, shot.end_s, "too_short")]

    def _presence(self, source: Source, shot: Shot) -> list[tuple[float, float]]:
        """Intervals of the shot in which people are present; the whole shot in the general pool."""
        if source.pool is Pool.GENERAL:
            return [(shot.start_s, shot.end_s)]
        inside = [frame for frame in source.keyframes if shot.start_s - 1e-6 <= frame.time_s < shot.end_s - 1e-6]
        present = [frame.time_s for frame in inside if self._has_face(frame)]
        intervals: list[tuple[float, float]] = []
        for time_s in present:
            if intervals and time_s - intervals[-1][1] <= self.config.max_absence_s:
                intervals[-1] = (intervals[-1][0], time_s)
            else:
                intervals.append((time_s, time_s))
        return [self._widen(interval, inside, shot) for interval in intervals]

    def _has_face(self, keyframe: Keyframe) -> bool:
        return any(face.confidence >= self.config.min_presence_confidence for face in keyframe.faces)

    @staticmethod
    def _widen(interval: tuple[float, float], inside: list[Keyframe], shot: Shot) -> tuple[float, float]:
        """Stretch to half way to the nearest keyframe without a face, or to the shot's edge."""
        times = [frame.time_s for frame in inside]
        first, last = times.index(interval[0]), times.index(interval[1])
        start = (times[first - 1] + times[first]) / 2 if first > 0 else shot.start_s
        end = (times[last] + times[last + 1]) / 2 if last + 1 < len(times) else shot.end_s
        return start, end


def _clip(source: Source, index: int, span: Span) -> Clip:
    assert source.media is not None
    assert source.stats is not None
    start_s = _snap(source.stats.times_s, span.start_s)
    end_s = _snap(source.stats.times_s, span.end_s, last=span.shot.end_s)
    clip = Clip(
        key=source.clip_key(index),
        source=source.uri,
        media=source.media,
        pool=source.pool,
        shot=span.shot,
        start_s=start_s,
        end_s=end_s,
        keyframes=tuple(k for k in source.keyframes if start_s - 1e-6 <= k.time_s < end_s - 1e-6),
        stats=source.stats.between(start_s, end_s),
        metadata=source.metadata,
    )
    return clip if span.rule is None else clip.reject("split", span.rule, end_s - start_s)


def pieces(start_s: float, end_s: float, min_s: float, max_s: float) -> list[tuple[float, float]]:
    """Cut an interval into equal pieces of `min_s` to `max_s`, or else into pieces of `max_s` and a shorter rest."""
    length = end_s - start_s
    tolerance = 0.05
    count = max(1, math.ceil((length - tolerance) / max_s))
    if length / count >= min_s:
        edges = np.linspace(start_s, end_s, count + 1)
    else:
        edges = np.append(start_s + max_s * np.arange(count), end_s)
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]


def _snap(times_s: npt.NDArray[np.float64], time_s: float, last: float | None = None) -> float:
    """The time of the first frame at or after `time_s`; past the last frame, `last`."""
    index = int(np.searchsorted(times_s, time_s - 1e-6))
    if index < len(times_s):
        return float(times_s[index])
    return float(times_s[-1]) if last is None else last
