"""A small run directory with known counts, written through the shard writer."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from curation.clip.caption import Caption
from curation.clip.observations import Keyframe
from curation.clip.schema import AudioType, Clip, Decision, Media, Payload, Pool, Shot, ShotType, Source, VideoInfo
from curation.shards.clip_rows import DecidedBy
from curation.shards.run_directory import RunDirectory, ShardsConfig, ShardWriter

SECONDS = {"probe": 0.5, "resolution": 0.0, "scenes": 1.0, "split": 0.5, "faces": 1.0, "pose": 1.0, "export": 4.0}
HOSTILE = "/in/<img src=x onerror=alert(1)>\"' onload='alert(2)' [bold]&amp;\x1b[2J.mp4"


def media(width: int, height: int, seconds: float) -> Media:
    info = VideoInfo(
        width=width,
        height=height,
        fps=25.0,
        duration_s=seconds,
        codec="h264",
        pixel_format="yuv420p",
        rotation_deg=0,
        sample_aspect_ratio=1.0,
        audio_codec="aac",
        audio_rate_hz=16000,
        audio_channels=1,
    )
    return Media(path="/nowhere.mp4", info=info)


def keyframe(time_s: float, width: int, height: int) -> Keyframe:
    picture = np.full((height // 4, width // 4, 3), 128, np.uint8)
    ok, jpeg = cv2.imencode(".jpg", picture)
    assert ok
    return Keyframe(time_s=time_s, jpeg=jpeg.tobytes())


def source(uri: str, width: int, height: int, seconds: float, **changes: object) -> Source:
    unit = Source(uri=uri, media=media(width, height, seconds), stage_seconds=SECONDS)
    return replace(unit, **changes)  # type: ignore[arg-type]


def clip(unit: Source, index: int, seconds: float = 4.5, **changes: object) -> Clip:
    assert unit.media is not None
    info = unit.media.info
    made = Clip(
        key=unit.clip_key(index),
        source=unit.uri,
        media=unit.media,
        pool=unit.pool,
        shot=Shot(start_s=0.0, end_s=info.duration_s),
        start_s=5.0 * index,
        end_s=5.0 * index + seconds,
        keyframes=(keyframe(5.0 * index, info.width, info.height),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def export(kept: Clip) -> Clip:
    wav = b"RIFFwave" if kept.has_audio else None
    payload = Payload(
        mp4=b"v" * 100, wav=wav, num_frames=112, num_audio_samples=8, audio_rate_hz=16000, stream_copied=False
    )
    return replace(kept, payload=payload)


def sources() -> list[Source]:
    """Five units: 1 failed, 1 rejected, 8 clips of which 5 are kept, one of them a crop."""
    talk = source("/in/talk.mp4", 1080, 1920, 15.0)
    talk_clips = (
        export(
            clip(talk, 0, shot_type=ShotType.PORTRAIT, num_people=1, audio_type=AudioType.TALKING).with_scores(
                face_presence=0.9
            )
        ),
        export(
            clip(talk, 1, 5.0, shot_type=ShotType.UPPER_BODY, num_people=1, audio_type=AudioType.TALKING).drop_audio(
                "sync", "persistent_mismatch", 0.25, 0.5
            )
        ),
        clip(talk, 2).with_scores(face_presence=0.25).reject("faces", "presence", 0.25, 0.5),
    )
    hostile = source(HOSTILE, 1280, 720, 15.0)
    caption = Caption(
        shot_type="full_body", brief="<script>alert(3)</script> A person walks.", detailed="A person walks to the left."
    )
    whole = clip(hostile, 0, shot_type=ShotType.FULL_BODY, num_people=2, audio_type=AudioType.SINGING, caption=caption)
    hostile_clips = (
        export(whole),
        export(clip(hostile, 1, shot_type=ShotType.UPPER_BODY, num_people=1, parent_key=whole.key)),
        clip(hostile, 2, 1.0).reject("split", "too_short", 1.0),
    )
    general = source("/in/forest.mp4", 2160, 2160, 10.0, pool=Pool.GENERAL)
    general_clips = (
        export(clip(general, 0, shot_type=ShotType.NONE, num_people=0).drop_audio("split", "general_pool")),
        clip(general, 1).reject("faces", "presence", 0.35, 0.5),
    )
    small = source("/in/small.mp4", 640, 480, 20.0, stage_seconds={"probe": 0.5, "resolution": 0.0})
    broken = Source(uri="/in/broken.mp4", stage_seconds={"probe": 0.5})
    return [
        replace(talk, clips=talk_clips),
        replace(hostile, clips=hostile_clips),
        replace(general, clips=general_clips),
        replace(small, rejection=Decision(stage="resolution", rule="short_edge", value=480.0, threshold=480.0)),
        broken.fail("probe", "unreadable", "no <moov> atom"),
    ]


def write_playable_run(run: str, mp4: bytes, wav: bytes) -> str:
    """The same units, every kept clip with this video, and with this sound where it has any."""

    def playable(clip: Clip) -> Clip:
        payload = clip.payload
        if payload is None:
            return clip
        return replace(clip, payload=replace(payload, mp4=mp4, wav=wav if payload.wav else None))

    write_run(run, [replace(unit, clips=tuple(map(playable, unit.clips))) for unit in sources()])
    return run


def write_run(run: str, units: list[Source], *, config_hash: str = "c0ffee", session: str = "one") -> list[str]:
    RunDirectory(run).open_session(session)
    return ShardWriter(
        run, ShardsConfig(), DecidedBy(config_hash=config_hash, backends={"quality": "no_reference"}), session
    ).write(units)
