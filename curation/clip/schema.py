"""What curation is about: sources, their clips, and the record of every decision.

A `Source` is one video (or one bounded segment of a long one) with its clips. It passes the stages in one
piece; nothing is ever removed from it, so a rejected clip is still a record. Everything here is immutable:
a stage returns a changed copy.

Times are seconds on the source's own timeline, boxes fractions of its picture (see `curation.clip.observations`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from curation.clip.caption import Caption
from curation.clip.observations import Box, FaceTrack, FrameStats, Keyframe
from curation.clip.people import ClipPerson
from curation.clip.replies import ModelReply

_NONE_YET: Mapping[str, Any] = MappingProxyType({})
"""What a source begins with: a million of them share it."""
INTERLACED = frozenset({"tt", "bb", "tb", "bt"})
"""Orders of fields: which one is coded first, and which is shown first, the top or the bottom one."""
Score = float | str | bool | tuple[float, ...] | None
"""What is stored of a measurement: decisions are made from these alone, so that they can be made again."""


class Pool(StrEnum):
    """Which of Soul-1M's two pools a source is meant for (paper, Sec. 5.1: 800K human, 200K general)."""

    HUMAN = "human"
    GENERAL = "general"


class ShotType(StrEnum):
    """How much of a person is seen (paper, Fig. 3a)."""

    PORTRAIT = "portrait"
    UPPER_BODY = "upper_body"
    FULL_BODY = "full_body"
    NONE = "none"


class AudioType(StrEnum):
    """What is heard (paper, Fig. 3c); `UNKNOWN` when it cannot be told."""

    TALKING = "talking"
    SINGING = "singing"
    NONE = "none"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """Whether lips and speech belong together (paper, Sec. 4.1, audio-video alignment)."""

    IN_SYNC = "in_sync"
    MISMATCH = "mismatch"
    UNSURE = "unsure"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What probing a file tells, in display terms: rotated, with square pixels."""

    width: int
    height: int
    fps: float
    """Average frame rate; 0 when the file does not say."""
    duration_s: float
    codec: str
    pixel_format: str
    rotation_deg: int
    """Clockwise turn that the player applies: 0, 90, 180 or 270."""
    sample_aspect_ratio: float
    """Width of a stored pixel over its height; 1.0 when pixels are square."""
    audio_codec: str | None
    """Codec of the track that is used; None when there is none that can be decoded."""
    audio_rate_hz: int
    """0 when there is no such track."""
    audio_channels: int
    mirrored: bool = False
    """Whether the player mirrors the picture left to right before it turns it."""
    duration_measured: bool = False
    """Whether the header claims no duration, so that it was found by reading the file."""
    times_counted: bool = False
    """Whether the container has no presentation times, so that they follow from the order of the frames."""
    field_order: str = "unknown"
    """`progressive`, `unknown`, or of interlaced video which field is coded and shown first: `tt`, `bb`, `tb`, `bt`."""
    color_range: str = "limited"
    """`limited` or `full`."""
    color_matrix: str = "unknown"
    color_primaries: str = "unknown"
    color_transfer: str = "unknown"
    """FFmpeg's names of the values of ITU-T H.273, and `dolby-vision`; `unknown` where the file does not say."""
    color_matrix_assumed: bool = False
    """Whether the file does not name its matrix; BT.709 was then assumed for HD, BT.601 below."""
    video_stream: int = 0
    audio_stream: int | None = None
    """Indices of the streams that are used."""
    audio_undecodable: bool = False
    """Whether there are sound tracks, but none that belongs to the picture and can be decoded."""

    @property
    def interlaced(self) -> bool:
        """Whether its frames are made of two fields from different moments."""
        return self.field_order in INTERLACED

    @property
    def short_edge(self) -> int:
        """The smaller of the displayed width and height, in pixels."""
        return min(self.width, self.height)


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """A readable local copy of a source and what probing said of it."""

    path: str
    info: VideoInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A stretch between two cuts."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Why a clip was rejected or lost its audio: the rule, the measured value and its threshold."""

    stage: str
    rule: str
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """The files of an exported clip, as they go into the shard."""

    mp4: bytes = field(repr=False)
    wav: bytes | None = field(repr=False)
    num_frames: int
    num_audio_samples: int
    """Per channel; 0 without audio."""
    audio_rate_hz: int
    stream_copied: bool

    @property
    def num_bytes(self) -> int:
        """Of its files."""
        return len(self.mp4) + len(self.wav or b"")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One stretch of one shot, with all that was measured and decided about it."""

    key: str
    source: str
    """Path or URI as given."""
    media: Media
    pool: Pool
    shot: Shot
    start_s: float
    end_s: float
    keyframes: tuple[Keyframe, ...] = field(default=(), repr=False)
    stats: FrameStats | None = field(default=None, repr=False)
    """The frames of this clip only."""
    crop: Box | None = None
    """The part of the picture that is this clip; None for all of it."""
    parent_key: str | None = None
    """The full-body clip that this one was cropped from."""
    tracks: tuple[FaceTrack, ...] = ()
    """Largest face first."""
    people: tuple[ClipPerson, ...] = ()
    """People with their joints, the main person first; none where poses come from a backend without joints."""
    shot_type: ShotType | None = None
    num_people: int | None = None
    audio_type: AudioType | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the manifest says of its source."""
    caption: Caption | None = None
    replies: tuple[ModelReply, ...] = field(default=(), repr=False)
    """What language models said about it."""
    scores: Mapping[str, Score] = field(default_factory=lambda: MappingProxyType({}))
    rejection: Decision | None = None
    audio_drop: Decision | None = None
    payload: Payload | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and clips travel between processes.
        values = {name: getattr(self, name) for name in self.__slots__}
        return _restore_clip, ({**values, "scores": dict(self.scores)},)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    @property
    def kept(self) -> bool:
        """Whether no stage has rejected it."""
        return self.rejection is None

    @property
    def has_audio(self) -> bool:
        """Whether the source has sound and no stage has dropped it."""
        return self.media.info.audio_codec is not None and self.audio_drop is None

    @property
    def width(self) -> int:
        """Width of the clip in displayed pixels, after its crop."""
        return round(self.media.info.width * (self.crop.width if self.crop else 1.0))

    @property
    def height(self) -> int:
        """Height of the clip in displayed pixels, after its crop."""
        return round(self.media.info.height * (self.crop.height if self.crop else 1.0))

    def with_scores(self, **scores: Score) -> Self:
        """A copy with `scores` added; numbers are kept as floats so that index columns have one type."""
        return replace(self, scores=_with_scores(self.scores, scores))

    def reject(self, stage: str, rule: str, value: float | None = None, threshold: float | None = None) -> Self:
        """A copy rejected by `stage` for `rule`; the first rejection stands."""
        if self.rejection is not None:
            return self
        return replace(self, rejection=_decision(stage, rule, value, threshold))

    def drop_audio(self, stage: str, rule: str, value: float | None = None, threshold: float | None = None) -> Self:
        """A copy without its audio; the first reason stands."""
        if self.audio_drop is not None:
            return self
        return replace(self, audio_drop=_decision(stage, rule, value, threshold))


def _with_scores(before: Mapping[str, Score], added: Mapping[str, Score]) -> Mapping[str, Score]:
    plain = {
        name: float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else value
        for name, value in added.items()
    }
    return MappingProxyType({**before, **plain})


def _decision(stage: str, rule: str, *numbers: float | None) -> Decision:
    value, threshold = (None if number is None else float(number) for number in numbers)
    return Decision(stage=stage, rule=rule, value=value, threshold=threshold)


def _restore_clip(values: dict[str, Any]) -> Clip:
    return Clip(**{**values, "scores": MappingProxyType(values["scores"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a source could not be processed at all; its clips, if any, are void."""

    stage: str
    rule: str
    detail: str
    """What the library or the operating system said, or a traceback."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherClip:
    """A clip of an earlier run that is not computed again, by which those of its shot are judged all the same."""

    key: str
    shot: Shot
    is_crop: bool
    scores: Mapping[str, Any]
    """What was examined of its sound, as it is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One video, or one segment of a long one, on its way through the stages."""

    uri: str
    """Path or URI as given."""
    pool: Pool = Pool.HUMAN
    segment: int = 0
    num_segments: int | None = None
    """Into how many units of work the video is cut; None before that is planned."""
    segment_start_s: float = 0.0
    segment_end_s: float = float("inf")
    size: int | None = None
    """Bytes, as listed; None where a manifest names the video."""
    stamp: str | None = None
    """The store's tag of the content, or when the file was changed, as listed; None as for `size`."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the manifest, carried into every clip's JSON."""
    media: Media | None = None
    shots: tuple[Shot, ...] = ()
    keyframes: tuple[Keyframe, ...] = field(default=(), repr=False)
    stats: FrameStats | None = field(default=None, repr=False)
    clips: tuple[Clip, ...] = ()
    wanted: frozenset[str] | None = None
    """Keys of the clips that are to be computed, where the others have been before; None for all of them."""
    others: tuple[OtherClip, ...] = field(default=(), repr=False)
    """Those of the others whose sound was examined."""
    replaces: str | None = None
    """The shard that has its row from when it failed, where it is done again."""
    scores: Mapping[str, Score] = field(default_factory=lambda: _NONE_YET)
    """What stages measured on the source as a whole: scores of each of its clips, or of itself where it has none."""
    rejection: Decision | None = None
    """Set when the whole source is rejected before it has clips (by `resolution`, for example)."""
    failure: Failure | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=lambda: _NONE_YET)
    """Wall seconds that each stage spent on it."""

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return _restore_source, ({**values, "scores": dict(self.scores), "stage_seconds": dict(self.stage_seconds)},)

    @property
    def key(self) -> str:
        """Stable identifier of the source and segment: readable stem, hash of the URI, segment number."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(self.uri).stem)[:48] or "source"
        digest = hashlib.sha1(self.uri.encode(), usedforsecurity=False).hexdigest()[:10]
        return f"{stem}-{digest}-{self.segment:04d}"

    @property
    def active(self) -> bool:
        """Whether later stages have anything to do."""
        return self.failure is None and self.rejection is None

    def clip_key(self, index: int) -> str:
        """Key of the clip with running number `index`: no dots, under 128 characters."""
        return f"{self.key}-{index:04d}"

    def with_scores(self, **scores: Score) -> Self:
        """A copy with `scores` added, as for a clip."""
        return replace(self, scores=_with_scores(self.scores, scores))

    def reject(self, stage: str, rule: str, value: float | None = None, threshold: float | None = None) -> Self:
        """A copy that `stage` has rejected as a whole."""
        return replace(self, rejection=_decision(stage, rule, value, threshold))

    def fail(self, stage: str, rule: str, detail: str) -> Self:
        """A copy marked as impossible to process."""
        return replace(self, failure=Failure(stage=stage, rule=rule, detail=detail))


def _restore_source(values: dict[str, Any]) -> Source:
    return Source(**{**values, "scores": MappingProxyType(values["scores"])})
