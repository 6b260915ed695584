"""Rows of the index: of clips, and of sources that have none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from curation.clip.observations import Box, Keyframe
from curation.clip.schema import Decision, ShotType
from curation.shards.clip_rows import INDEX_ONLY, THUMBNAIL_WIDTH_PX, index_rows, sample_json, thumbnail
from curation.shards.clip_table import COLUMNS
from tests.worlds.synthetic_run import clip, export, keyframe, source

MADE = source("/in/a.mp4", 1280, 720, 15.0)


def test_a_kept_clip_has_a_row() -> None:
    made = export(clip(MADE, 0, shot_type=ShotType.PORTRAIT, num_people=1).with_scores(face_presence=0.9))
    (row,) = index_rows(replace(MADE, clips=(made,)), "c0ffee")
    assert (row["key"], row["source"], row["source_key"]) == (made.key, MADE.uri, MADE.key)
    assert (row["kept"], row["audio_kept"], row["audio_reason"]) == (True, True, None)
    assert (row["reject_stage"], row["reject_rule"], row["reject_value"], row["reject_threshold"]) == (None,) * 4
    assert (row["face_presence"], row["shot_type"], row["num_frames"]) == (0.9, "portrait", 112)
    assert (row["config_hash"], row["source_duration_s"]) == ("c0ffee", 15.0)
    assert json.loads(row["stage_seconds"]) == dict(MADE.stage_seconds)


def test_a_rejected_clip_has_its_reason_and_no_sound() -> None:
    made = clip(MADE, 0).reject("faces", "presence", 0.25, 0.5)
    (row,) = index_rows(replace(MADE, clips=(made,)), "c0ffee")
    assert not row["kept"]
    assert (row["reject_stage"], row["reject_rule"], row["reject_value"], row["reject_threshold"]) == (
        *("faces", "presence"),
        *(0.25, 0.5),
    )
    assert not row["audio_kept"]
    assert row["num_frames"] is None


def test_a_clip_that_lost_its_sound_says_where() -> None:
    made = export(clip(MADE, 0).drop_audio("sync", "offset", 10, 6))
    (row,) = index_rows(replace(MADE, clips=(made,)), "c0ffee")
    assert (row["kept"], row["audio_kept"], row["audio_reason"]) == (True, False, "sync/offset")
    assert sample_json(replace(MADE, clips=(made,)), made, "c0ffee")["audio"] is None


def test_a_failed_source_has_one_row_without_its_clips() -> None:
    made = replace(MADE, clips=(clip(MADE, 0), clip(MADE, 1))).fail("export", "undecodable", "why")
    (row,) = index_rows(made, "c0ffee")
    assert (row["key"], row["reject_stage"], row["reject_rule"], row["kept"]) == (
        *(made.key, "export", "undecodable"),
        False,
    )
    assert (row["width"], row["height"], row["start_s"], row["end_s"]) == (1280, 720, 0.0, 15.0)


def test_a_failure_counts_before_a_rejection() -> None:
    made = replace(MADE, rejection=Decision(stage="resolution", rule="short_edge", value=1.0, threshold=2.0))
    assert index_rows(made, "")[0]["reject_rule"] == "short_edge"
    assert index_rows(made.fail("export", "undecodable", "why"), "")[0]["reject_rule"] == "undecodable"


def test_a_source_that_nobody_could_open_has_no_size() -> None:
    (row,) = index_rows(replace(MADE, media=None).fail("probe", "unreadable", "why"), "c0ffee")
    assert (row["width"], row["height"], row["fps"], row["thumbnail"]) == (None,) * 4
    assert row["source_duration_s"] == 0.0


def test_a_segment_is_as_long_as_its_part() -> None:
    made = replace(MADE, segment=1, segment_start_s=10.0, segment_end_s=12.0)
    assert index_rows(replace(made, clips=(clip(made, 0),)), "")[0]["source_duration_s"] == 2.0
    last = replace(made, segment_end_s=float("inf"))
    assert index_rows(replace(last, clips=(clip(last, 0),)), "")[0]["source_duration_s"] == 5.0


def test_a_source_never_vanishes() -> None:
    with pytest.raises(AssertionError, match="would vanish"):
        index_rows(MADE, "c0ffee")


def test_every_row_fits_the_columns() -> None:
    (row,) = index_rows(replace(MADE, clips=(clip(MADE, 0),)), "c0ffee")
    (failed,) = index_rows(MADE.fail("probe", "unreadable", "why"), "c0ffee")
    assert set(row) == set(failed)
    assert set(row) <= set(COLUMNS)


def test_the_json_of_a_clip_has_what_the_index_leaves_out() -> None:
    made = export(clip(MADE, 0, crop=Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0)).with_scores(face_presence=0.9))
    record = sample_json(replace(MADE, clips=(made,), metadata={"licence": "CC0"}), made, "c0ffee")
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
