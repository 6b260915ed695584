"""Records of decisions: the first stands, numbers are floats, keys are safe."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from curation.clip.observations import Box
from curation.clip.schema import Decision, Source
from tests.worlds.synthetic_run import clip, source

MADE = source("/in/a.mp4", 1280, 720, 15.0)


def test_the_first_rejection_stands() -> None:
    rejected = clip(MADE, 0).reject("faces", "presence", 1, 2).reject("quality", "low_score")
    assert rejected.rejection == Decision(stage="faces", rule="presence", value=1.0, threshold=2.0)
    assert not rejected.kept


def test_the_first_reason_for_no_sound_stands_and_the_clip_is_kept() -> None:
    mute = clip(MADE, 0).drop_audio("sync", "silent", -70, -60).drop_audio("sync", "offset")
    assert mute.audio_drop == Decision(stage="sync", rule="silent", value=-70.0, threshold=-60.0)
    assert type(mute.audio_drop.value) is float
    assert mute.kept
    assert not mute.has_audio


def test_a_source_without_sound_has_none() -> None:
    assert clip(MADE, 0).has_audio
    media = replace(clip(MADE, 0).media, info=replace(clip(MADE, 0).media.info, audio_codec=None))
    assert not replace(clip(MADE, 0), media=media).has_audio


def test_numbers_are_stored_as_floats_and_nothing_else_is_changed() -> None:
    scores = clip(MADE, 0).with_scores(a=1, b=np.float64(2), c=True, d=None, e="word").with_scores(a=3).scores
    assert dict(scores) == {"a": 3.0, "b": 2.0, "c": True, "d": None, "e": "word"}
    assert [type(scores[name]) for name in "abc"] == [float, float, bool]
    with pytest.raises(TypeError):
        scores["a"] = 0.0  # type: ignore[index]


def test_a_clip_travels_between_processes() -> None:
    made = clip(MADE, 0).with_scores(sharpness=3).reject("faces", "no_face")
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_crop_has_its_own_size() -> None:
    cropped = replace(clip(MADE, 0), crop=Box(x0=0.25, y0=0.0, x1=0.75, y1=0.5))
    assert (cropped.width, cropped.height) == (640, 360)
    assert (clip(MADE, 0).width, clip(MADE, 0).height) == (1280, 720)


@pytest.mark.parametrize(
    ("uri", "stem"),
    [
        ("/in/a.b c.mp4", "a_b_c"),
        ("s3://bucket/Ünïcode.webm", "_n_code"),
        (f"/in/{'x' * 200}.mp4", "x" * 48),
        ("/", "source"),
    ],
)
def test_keys_are_safe_short_and_tell_segments_apart(uri: str, stem: str) -> None:
    first, second = Source(uri=uri), Source(uri=uri, segment=1)
    assert first.key.startswith(f"{stem}-")
    assert first.key.endswith("-0000")
    assert second.key.endswith("-0001")
    assert first.key[:-4] == second.key[:-4]
    key = first.clip_key(7)
    assert key == f"{first.key}-0007"
    assert "." not in key
    assert len(f"{key}-crop") <= 128


def test_sources_of_one_name_have_keys_of_their_own() -> None:
    assert Source(uri="/one/a.mp4").key != Source(uri="/two/a.mp4").key


def test_a_source_is_active_until_it_fails_or_is_rejected() -> None:
    assert MADE.active
    assert not MADE.fail("probe", "unreadable", "no moov").active
    assert not replace(MADE, rejection=Decision(stage="resolution", rule="short_edge")).active


@pytest.mark.parametrize(
    ("field_order", "interlaced"), [("tt", True), ("bt", True), ("progressive", False), ("unknown", False)]
)
def test_which_orders_of_fields_are_interlaced(field_order: str, interlaced: bool) -> None:
    assert MADE.media is not None
    assert replace(MADE.media.info, field_order=field_order).interlaced is interlaced
