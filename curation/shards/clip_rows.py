"""What is written down about a clip: its row in the shard index and its JSON in the shard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2

from curation.clip import fingerprint
from curation.clip.observations import Box, Keyframe
from curation.clip.people import ClipPerson
from curation.clip.schema import Clip, Decision, Source

INDEX_ONLY = frozenset({"stage_seconds", "thumbnail", *fingerprint.COLUMNS})
"""Columns of the index that a sample's JSON leaves out."""
FORMAT = ("field_order", "color_range", "color_matrix", "color_primaries", "color_transfer")
"""Properties of a source's picture that have columns: they decide about whole sources, which have no JSON."""
THUMBNAIL_WIDTH_PX = 192


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedBy:
    """What decided about a clip."""

    config_hash: str
    """Of everything that can change a decision."""
    backends: Mapping[str, str]
    """Stage → its backend, or backends joined by `+`."""


def index_rows(source: Source, decided_by: DecidedBy) -> list[dict[str, Any]]:
    """One row for each clip, or a single one for a source that has none (failed or rejected as a whole)."""
    assert source.clips or not source.active, f"{source.uri} would vanish: it has neither clips nor a decision"
    if not source.active:
        return [_source_row(source, decided_by)]
    return [_clip_row(source, clip, decided_by) for clip in source.clips]


def sample_json(source: Source, clip: Clip, decided_by: DecidedBy) -> dict[str, Any]:
    """Everything known about a kept clip, as it goes into the shard."""
    assert clip.payload is not None
    row = _clip_row(source, clip, decided_by)
    scores = {**source.scores, **clip.scores}
    return {
        **{name: value for name, value in row.items() if name not in scores and name not in INDEX_ONLY},
        "audio": None
        if clip.payload.wav is None
        else {"rate_hz": clip.payload.audio_rate_hz, "num_samples": clip.payload.num_audio_samples},
        "stream_copied": clip.payload.stream_copied,
        "crop": asdict(clip.crop) if clip.crop else None,
        "face_tracks": [
            {
                "times_s": track.times_s,
                "boxes": [[face.box.x0, face.box.y0, face.box.x1, face.box.y1] for face in track.faces],
            }
            for track in clip.tracks
        ],
        "people": [_person(person) for person in clip.people],
        "backends": dict(decided_by.backends),
        "caption": clip.caption.model_dump(mode="json") if clip.caption else None,
        "replies": [asdict(reply) for reply in clip.replies],
        "scores": scores,
        "video": asdict(clip.media.info),
        "metadata": dict(source.metadata),
    }


def _person(person: ClipPerson) -> dict[str, Any]:
    """One person as a sample's JSON has it, to a ten-thousandth of the picture: a joint that is not seen is null."""
    return {
        "times_s": person.times_s,
        "boxes": [_corners(box) for box in person.boxes],
        "keypoints": [
            [
                [round(joint.x, 4), round(joint.y, 4), round(joint.confidence, 4)] if joint.seen else None
                for joint in pose
            ]
            for pose in person.keypoints
        ],
        "hands": [{"left": _corners(hands.left), "right": _corners(hands.right)} for hands in person.hands],
    }


def _corners(box: Box | None) -> list[float] | None:
    return None if box is None else [round(value, 4) for value in (box.x0, box.y0, box.x1, box.y1)]


def thumbnail(keyframes: Sequence[Keyframe]) -> bytes | None:
    """The middle keyframe as a JPEG of a few kilobytes; None when there is no keyframe."""
    if not keyframes:
        return None
    image = keyframes[len(keyframes) // 2].image()
    height = round(THUMBNAIL_WIDTH_PX * image.shape[0] / image.shape[1])
    small = cv2.resize(image, (THUMBNAIL_WIDTH_PX, max(1, height)), interpolation=cv2.INTER_AREA)
    ok, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 75])
    assert ok
    return jpeg.tobytes()


def _source_row(source: Source, decided_by: DecidedBy) -> dict[str, Any]:
    decision = source.rejection
    if source.failure is not None:
        decision = Decision(stage=source.failure.stage, rule=source.failure.rule)
    assert decision is not None
    info = source.media.info if source.media else None
    end_s = min(source.segment_end_s, info.duration_s if info else source.segment_start_s)
    return {
        **_common(source, decided_by),
        "key": source.key,
        "start_s": source.segment_start_s,
        "end_s": end_s,
        "shot_start_s": None,
        "shot_end_s": None,
        "parent_key": None,
        "shot_type": None,
        "num_people": None,
        "audio_type": None,
        "width": info.width if info else None,
        "height": info.height if info else None,
        "num_frames": None,
        "fps": info.fps if info else None,
        "caption_brief": None,
        "thumbnail": thumbnail(source.keyframes),
        **dict.fromkeys(fingerprint.COLUMNS),
        **_decisions(decision, None),
        "audio_kept": False,
        **source.scores,
    }


def _clip_row(source: Source, clip: Clip, decided_by: DecidedBy) -> dict[str, Any]:
    return {
        **_common(source, decided_by),
        "key": clip.key,
        "start_s": clip.start_s,
        "end_s": clip.end_s,
        "shot_start_s": clip.shot.start_s,
        "shot_end_s": clip.shot.end_s,
        "parent_key": clip.parent_key,
        "shot_type": clip.shot_type,
        "num_people": clip.num_people,
        "audio_type": clip.audio_type,
        "width": clip.width,
        "height": clip.height,
        "num_frames": clip.payload.num_frames if clip.payload else None,
        "fps": clip.media.info.fps,
        "caption_brief": clip.caption.brief if clip.caption else None,
        "thumbnail": thumbnail(clip.keyframes),
        **fingerprint.fingerprint(clip),
        **_decisions(clip.rejection, clip.audio_drop),
        "audio_kept": clip.kept and clip.payload is not None and clip.payload.wav is not None,
        **source.scores,
        **clip.scores,
    }


def _common(source: Source, decided_by: DecidedBy) -> dict[str, Any]:
    media_s = source.media.info.duration_s if source.media else 0.0
    return {
        "source": source.uri,
        "source_key": source.key,
        "segment": source.segment,
        "num_segments": source.num_segments,
        "source_duration_s": max(0.0, min(source.segment_end_s, media_s) - source.segment_start_s),
        **_format(source),
        "stage_seconds": json.dumps({name: round(seconds, 4) for name, seconds in source.stage_seconds.items()}),
        "pool": str(source.pool),
        "config_hash": decided_by.config_hash,
        "backends": json.dumps(dict(decided_by.backends)),
    }


def _format(source: Source) -> dict[str, Any]:
    """How the source stores its picture; None where its header could not be read."""
    info = source.media.info if source.media else None
    return {name: getattr(info, name, None) for name in FORMAT}


def _decisions(rejection: Decision | None, audio_drop: Decision | None) -> dict[str, Any]:
    return {
        "kept": rejection is None,
        "reject_stage": rejection.stage if rejection else None,
        "reject_rule": rejection.rule if rejection else None,
        "reject_value": rejection.value if rejection else None,
        "reject_threshold": rejection.threshold if rejection else None,
        "audio_reason": f"{audio_drop.stage}/{audio_drop.rule}" if audio_drop else None,
    }
