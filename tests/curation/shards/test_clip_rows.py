"""Rows of the index: of clips, and of sources that have none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from curation.clip.caption import Caption
from curation.clip.fingerprint import COLUMNS as PRINTS
from curation.clip.fingerprint import fingerprint
from curation.clip.observations import Box, FaceBox, FaceTrack, Keyframe
from curation.clip.people import ClipPerson, Hands, Keypoint
from curation.clip.replies import ModelReply
from curation.clip.schema import AudioType, Clip, Decision, Pool, Shot, ShotType, Source
from curation.shards.clip_rows import (
    FORMAT,
    INDEX_ONLY,
    THUMBNAIL_WIDTH_PX,
    DecidedBy,
    index_rows,
    sample_json,
    thumbnail,
)
from curation.shards.clip_table import COLUMNS
from tests.worlds.synthetic_run import clip, export, keyframe, media, source

DECIDED_BY = DecidedBy(config_hash="c0ffee", backends={"sync": "mouth_motion+silero"})
MADE = source("/in/a.mp4", 1280, 720, 15.0)


def test_a_kept_clip_has_a_row() -> None:
    made = export(clip(MADE, 0, shot_type=ShotType.PORTRAIT, num_people=1).with_scores(face_presence=0.9))
    (row,) = index_rows(replace(MADE, clips=(made,)), DECIDED_BY)
    assert (row["key"], row["source"], row["source_key"]) == (made.key, MADE.uri, MADE.key)
    assert (row["kept"], row["audio_kept"], row["audio_reason"]) == (True, True, None)
    assert (row["reject_stage"], row["reject_rule"], row["reject_value"], row["reject_threshold"]) == (None,) * 4
    assert (row["face_presence"], row["shot_type"], row["num_frames"]) == (0.9, "portrait", 112)
    assert (row["config_hash"], row["source_duration_s"]) == ("c0ffee", 15.0)
    assert json.loads(row["stage_seconds"]) == dict(MADE.stage_seconds)


FILE = media(1280, 720, 15.0)
SEGMENT = replace(
    MADE,
    uri="/in/b.mp4",
    pool=Pool.GENERAL,
    media=replace(FILE, info=replace(FILE.info, field_order="tt", color_range="full", color_matrix="bt709")),
    segment=2,
    segment_start_s=10.0,
    segment_end_s=14.0,
    stage_seconds={"probe": 0.12344, "split": 1.0},
    keyframes=(keyframe(10.5, 1280, 720),),
    metadata={"licence": "CC0"},
)
"""Seconds 10 to 14 of an interlaced video of 15 s."""
OF_THE_SEGMENT = {
    "source": "/in/b.mp4",
    "source_key": SEGMENT.key,
    "segment": 2,
    "num_segments": None,
    "source_duration_s": 4.0,
    "field_order": "tt",
    "color_range": "full",
    "color_matrix": "bt709",
    "color_primaries": "unknown",
    "color_transfer": "unknown",
    "stage_seconds": '{"probe": 0.1234, "split": 1.0}',
    "pool": "general",
    "config_hash": "c0ffee",
    "backends": '{"sync": "mouth_motion+silero"}',
}


def jpeg_of(level: int, width: int, height: int) -> bytes:
    ok, jpeg = cv2.imencode(".jpg", np.full((height, width, 3), level, np.uint8))
    assert ok
    return jpeg.tobytes()


def described() -> tuple[Source, Clip]:
    """A clip of the segment that has everything, its sound too."""
    person = ClipPerson(
        times_s=(10.5,),
        boxes=(Box(x0=0.125, y0=0.0625, x1=0.75, y1=1.0),),
        keypoints=((Keypoint(1 / 3, 0.25, 1.5), Keypoint(0.5, 0.5, 0.1, seen=False)),),
        hands=(Hands(left=Box(x0=0.25, y0=0.5, x1=0.375, y1=0.625)),),
    )
    face = FaceBox(box=Box(x0=0.25, y0=0.125, x1=0.5, y1=0.75), confidence=2.0)
    made = clip(
        SEGMENT,
        1,
        shot=Shot(start_s=9.0, end_s=13.0),
        start_s=10.5,
        end_s=12.75,
        parent_key="parent",
        crop=Box(x0=0.0, y0=0.0, x1=0.5, y1=0.75),
        shot_type=ShotType.UPPER_BODY,
        num_people=2,
        audio_type=AudioType.SINGING,
        tracks=(FaceTrack(times_s=(10.5,), faces=(face,)),),
        people=(person,),
        caption=Caption(shot_type="upper_body", brief="A person sings.", detailed="A person sings on a stage."),
    )
    made = export(made.with_scores(face_presence=0.9, sharpness=3))
    return replace(SEGMENT, clips=(made,)), made


def test_all_that_is_known_of_a_clip_is_in_its_row() -> None:
    unit, made = described()
    assert index_rows(unit, DECIDED_BY) == [
        {
            **OF_THE_SEGMENT,
            "key": SEGMENT.clip_key(1),
            "start_s": 10.5,
            "end_s": 12.75,
            "shot_start_s": 9.0,
            "shot_end_s": 13.0,
            "parent_key": "parent",
            "shot_type": "upper_body",
            "num_people": 2,
            "audio_type": "singing",
            "width": 640,
            "height": 540,
            "num_frames": 112,
            "fps": 25.0,
            "caption_brief": "A person sings.",
            "thumbnail": thumbnail(made.keyframes),
            **fingerprint(made),
            "kept": True,
            "reject_stage": None,
            "reject_rule": None,
            "reject_value": None,
            "reject_threshold": None,
            "audio_reason": None,
            "audio_kept": True,
            "face_presence": 0.9,
            "sharpness": 3.0,
        }
    ]


def test_all_that_is_known_of_a_clip_is_in_its_json() -> None:
    unit, made = described()
    (row,) = index_rows(unit, DECIDED_BY)
    record = sample_json(unit, made, DECIDED_BY)
    of_the_row = {name: value for name, value in row.items() if name not in {*INDEX_ONLY, *made.scores}}
    assert made.caption is not None
    assert record == {
        **of_the_row,
        "audio": {"rate_hz": 16000, "num_samples": 8},
        "stream_copied": False,
        "crop": {"x0": 0.0, "y0": 0.0, "x1": 0.5, "y1": 0.75},
        "face_tracks": [{"times_s": (10.5,), "boxes": [[0.25, 0.125, 0.5, 0.75]]}],
        "people": [
            {
                "times_s": (10.5,),
                "boxes": [[0.125, 0.0625, 0.75, 1.0]],
                "keypoints": [[[0.3333, 0.25, 1.5], None]],
                "hands": [{"left": [0.25, 0.5, 0.375, 0.625], "right": None}],
            }
        ],
        "backends": {"sync": "mouth_motion+silero"},
        "caption": made.caption.model_dump(mode="json"),
        "replies": [],
        "scores": {"face_presence": 0.9, "sharpness": 3.0},
        "video": asdict(made.media.info),
        "metadata": {"licence": "CC0"},
    }
    json.dumps(record)


def test_what_is_not_known_of_a_clip_is_null_in_its_json() -> None:
    made = export(clip(MADE, 0))
    record = sample_json(replace(MADE, clips=(made,)), made, DECIDED_BY)
    assert (record["crop"], record["caption"], record["caption_brief"]) == (None,) * 3
    assert (record["face_tracks"], record["people"]) == ([], [])


@pytest.mark.parametrize("failed", [False, True])
def test_all_that_is_known_of_a_source_without_clips_is_in_its_row(failed: bool) -> None:
    decision = Decision(stage="resolution", rule="short_edge", value=480.0, threshold=720.0)
    unit = SEGMENT.fail("probe", "unreadable", "why") if failed else replace(SEGMENT, rejection=decision)
    nothing = ("shot_start_s", "shot_end_s", "parent_key", "shot_type", "num_people", "audio_type", "num_frames")
    (row,) = index_rows(unit, DECIDED_BY)
    assert row == {
        **OF_THE_SEGMENT,
        **dict.fromkeys(nothing),
        "key": SEGMENT.key,
        "start_s": 10.0,
        "end_s": 14.0,
        "width": 1280,
        "height": 720,
        "fps": 25.0,
        "caption_brief": None,
        "thumbnail": thumbnail(SEGMENT.keyframes),
        **dict.fromkeys(PRINTS),
        "kept": False,
        "reject_stage": "probe" if failed else "resolution",
        "reject_rule": "unreadable" if failed else "short_edge",
        "reject_value": None if failed else 480.0,
        "reject_threshold": None if failed else 720.0,
        "audio_reason": None,
        "audio_kept": False,
    }


def test_a_rejected_clip_has_its_reason_and_no_sound() -> None:
    made = clip(MADE, 0).reject("faces", "presence", 0.25, 0.5)
    (row,) = index_rows(replace(MADE, clips=(made,)), DECIDED_BY)
    assert not row["kept"]
    assert (row["reject_stage"], row["reject_rule"], row["reject_value"], row["reject_threshold"]) == (
        *("faces", "presence"),
        *(0.25, 0.5),
    )
    assert not row["audio_kept"]
    assert row["num_frames"] is None


def test_a_clip_that_lost_its_sound_says_where() -> None:
    made = export(clip(MADE, 0).drop_audio("sync", "offset", 10, 6))
    (row,) = index_rows(replace(MADE, clips=(made,)), DECIDED_BY)
    assert (row["kept"], row["audio_kept"], row["audio_reason"]) == (True, False, "sync/offset")
    assert sample_json(replace(MADE, clips=(made,)), made, DECIDED_BY)["audio"] is None


def test_a_failed_source_has_one_row_without_its_clips() -> None:
    made = replace(MADE, clips=(clip(MADE, 0), clip(MADE, 1))).fail("export", "undecodable", "why")
    (row,) = index_rows(made, DECIDED_BY)
    assert (row["key"], row["reject_stage"], row["reject_rule"], row["kept"]) == (
        *(made.key, "export", "undecodable"),
        False,
    )
    assert (row["width"], row["height"], row["start_s"], row["end_s"]) == (1280, 720, 0.0, 15.0)


def test_a_failure_counts_before_a_rejection() -> None:
    made = replace(MADE, rejection=Decision(stage="resolution", rule="short_edge", value=1.0, threshold=2.0))
    assert index_rows(made, DECIDED_BY)[0]["reject_rule"] == "short_edge"
    assert index_rows(made.fail("export", "undecodable", "why"), DECIDED_BY)[0]["reject_rule"] == "undecodable"


def test_a_source_that_nobody_could_open_has_no_size() -> None:
    (row,) = index_rows(replace(MADE, media=None).fail("probe", "unreadable", "why"), DECIDED_BY)
    assert (row["width"], row["height"], row["fps"], row["thumbnail"]) == (None,) * 4
    assert row["source_duration_s"] == 0.0
    assert {row[name] for name in FORMAT} == {None}
    later = replace(MADE, media=None, segment_start_s=10.0, segment_end_s=14.0).fail("probe", "unreadable", "why")
    assert (index_rows(later, DECIDED_BY)[0]["start_s"], index_rows(later, DECIDED_BY)[0]["end_s"]) == (10.0, 10.0)


def test_a_segment_beyond_the_end_lasts_0_s() -> None:
    made = replace(MADE, segment_start_s=20.0).fail("probe", "unreadable", "why")
    assert index_rows(made, DECIDED_BY)[0]["source_duration_s"] == 0.0


def test_a_segment_is_as_long_as_its_part() -> None:
    made = replace(MADE, segment=1, segment_start_s=10.0, segment_end_s=12.0)
    assert index_rows(replace(made, clips=(clip(made, 0),)), DECIDED_BY)[0]["source_duration_s"] == 2.0
    last = replace(made, segment_end_s=float("inf"))
    assert index_rows(replace(last, clips=(clip(last, 0),)), DECIDED_BY)[0]["source_duration_s"] == 5.0


def test_a_source_never_vanishes() -> None:
    with pytest.raises(AssertionError, match="would vanish"):
        index_rows(MADE, DECIDED_BY)


def test_every_row_fits_the_columns() -> None:
    (row,) = index_rows(replace(MADE, clips=(clip(MADE, 0),)), DECIDED_BY)
    (failed,) = index_rows(MADE.fail("probe", "unreadable", "why"), DECIDED_BY)
    assert set(row) == set(failed)
    assert set(row) <= set(COLUMNS)


def test_the_json_of_a_clip_has_what_the_index_leaves_out() -> None:
    made = export(clip(MADE, 0, crop=Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0)).with_scores(face_presence=0.9))
    record = sample_json(replace(MADE, clips=(made,), metadata={"licence": "CC0"}), made, DECIDED_BY)
    assert record["scores"] == {"face_presence": 0.9}
    assert "face_presence" not in record
    assert not INDEX_ONLY & record.keys()
    assert record["crop"] == {"x0": 0.0, "y0": 0.0, "x1": 0.5, "y1": 1.0}
    assert record["metadata"] == {"licence": "CC0"}
    assert record["audio"] == {"rate_hz": 16000, "num_samples": 8}


def test_the_thumbnail_is_the_middle_keyframe_made_small() -> None:
    small = thumbnail([keyframe(time_s, 1280, 720) for time_s in (0.0, 0.5, 1.0)])
    assert small is not None
    image = Keyframe(time_s=0.0, jpeg=small).image()
    assert image.shape == (THUMBNAIL_WIDTH_PX * 9 // 16, THUMBNAIL_WIDTH_PX, 3)
    assert thumbnail([]) is None


def test_the_thumbnail_is_of_the_later_of_two_middle_keyframes() -> None:
    dark, bright = (Keyframe(time_s=0.0, jpeg=jpeg_of(level, 64, 64)) for level in (20, 230))
    for keyframes in ([dark, bright], [dark, dark, bright, dark]):
        small = thumbnail(keyframes)
        assert small is not None
        assert Keyframe(time_s=0.0, jpeg=small).image().min() > 220


def test_the_thumbnail_is_a_few_kilobytes_in_which_fine_detail_is_averaged() -> None:
    picture = np.zeros((1080, 1920, 3), np.uint8)
    picture[:, ::10] = 255
    ok, png = cv2.imencode(".png", picture)
    assert ok
    small = thumbnail([Keyframe(time_s=0.0, jpeg=png.tobytes())])
    assert small is not None
    assert np.abs(Keyframe(time_s=0.0, jpeg=small).image() - 25.5).max() < 3
    noise = np.random.default_rng(0).integers(0, 256, (108, THUMBNAIL_WIDTH_PX, 3), np.uint8)
    ok, png = cv2.imencode(".png", noise)
    assert ok
    assert len(thumbnail([Keyframe(time_s=0.0, jpeg=png.tobytes())]) or b"") < 16_000


def test_the_thumbnail_of_a_strip_has_a_row() -> None:
    small = thumbnail([Keyframe(time_s=0.0, jpeg=jpeg_of(128, 1000, 1))])
    assert small is not None
    assert Keyframe(time_s=0.0, jpeg=small).image().shape == (1, THUMBNAIL_WIDTH_PX, 3)


def test_what_a_model_said_goes_into_the_shard_and_not_into_the_index() -> None:
    reply = ModelReply(
        stage="caption",
        prompt="scene",
        version="1",
        model="qwen",
        seed=1,
        text="{}",
        refused="scene: Field required",
        prompt_tokens=700,
        cached_tokens=600,
        completion_tokens=9,
    )
    made = replace(export(clip(MADE, 0)), replies=(reply,))
    whole = json.loads(json.dumps(sample_json(replace(MADE, clips=(made,)), made, DECIDED_BY)))
    assert whole["replies"] == [asdict(reply)]
    assert "replies" not in index_rows(replace(MADE, clips=(made,)), DECIDED_BY)[0]
