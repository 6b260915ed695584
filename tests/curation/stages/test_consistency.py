"""Contradictory captions are rejected by the rule that they break; consistent and uncheckable ones pass."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.backends.caption.measured_captioner import MeasuredCaptioner
from curation.clip.caption import CameraMovement, Caption, MovementDirection
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import AudioType, Clip, Decision, Pool, Score, ShotType
from curation.rules.rule import scores_of
from curation.stages.consistency import ConsistencyConfig, ConsistencyFilter, is_checked, measure_claims
from tests.worlds.people_clips import make_clip

STILL = CameraMotion(
    pan_per_s=0.0, tilt_per_s=0.0, zoom_per_s=0.0, roll_deg_per_s=0.0, speed_per_s=0.001, shake_per_s=0.0
)
PANS_RIGHT = replace(STILL, pan_per_s=0.08, speed_per_s=0.07)
ZOOMS_IN = replace(STILL, zoom_per_s=0.1, speed_per_s=0.04)
SEATED = SubjectMotion(dx_per_s=0.0, dy_per_s=0.0, scale_per_s=0.0, travel_heads=0.1, coverage=1.0)
SWAYS = replace(SEATED, travel_heads=0.44, dx_per_s=0.02)
WALKS_RIGHT = replace(SEATED, dx_per_s=0.1, travel_heads=5.0)
COMES = replace(SEATED, scale_per_s=0.2, travel_heads=0.4)

BASE = make_clip([np.full((90, 160, 3), 128, np.uint8)] * 10)


def clip_of(
    camera: CameraMotion | None = STILL,
    subject: SubjectMotion | None = SEATED,
    *,
    people: int = 1,
    shot_type: ShotType = ShotType.UPPER_BODY,
    mouth: float | None = None,
    pool: Pool = Pool.HUMAN,
) -> Clip:
    scores: dict[str, Score] = {
        **(camera.scores() if camera else CameraMotion.unknown()),
        **(subject.scores() if subject else SubjectMotion.unknown()),
        "subject_mouth_change": mouth,
    }
    return replace(BASE, shot_type=shot_type, num_people=people, pool=pool).with_scores(**scores)


def verdict(clip: Clip, **caption: object) -> str | None:
    """The rule by which the caption is rejected, or None."""
    texts = {"brief": "A person in a room.", "detailed": "A person in a room with a window."}
    checked = ConsistencyFilter(ConsistencyConfig())(
        replace(clip, caption=Caption.model_validate({**texts, **caption}))
    )
    if checked.rejection is None:
        assert checked.scores["consistency_contradictions"] is None
        return None
    assert checked.rejection.stage == "consistency"
    assert checked.rejection.value is not None
    assert checked.rejection.threshold is not None
    assert checked.rejection.rule in str(checked.scores["consistency_contradictions"])
    return checked.rejection.rule


WALKING = {"human_action": {"legs": "walking forward"}}
TALKING = {"human_action": {"face": "talking to the camera"}}


@pytest.mark.parametrize(
    ("clip", "caption", "rule"),
    [
        (clip_of(), {"camera_movement": "pan_left"}, "moving_camera_on_static_shot"),
        (clip_of(), {"camera_movement": "zoom_in"}, "moving_camera_on_static_shot"),
        (clip_of(), {"camera_movement": "handheld"}, "moving_camera_on_static_shot"),
        (clip_of(), {"detailed": "The camera slowly pans to the right."}, "moving_camera_on_static_shot"),
        (clip_of(), {"brief": "A man, as the camera zooms in."}, "moving_camera_on_static_shot"),
        (clip_of(PANS_RIGHT), {"camera_movement": "static"}, "static_camera_on_moving_shot"),
        (clip_of(PANS_RIGHT), {"brief": "A static shot of a man."}, "static_camera_on_moving_shot"),
        (clip_of(PANS_RIGHT), {"camera_movement": "pan_left"}, "opposite_camera_movement"),
        (clip_of(PANS_RIGHT), {"brief": "The camera pans left over a room."}, "opposite_camera_movement"),
        (clip_of(ZOOMS_IN), {"camera_movement": "zoom_out"}, "opposite_camera_movement"),
        (clip_of(), WALKING, "walking_without_displacement"),
        (clip_of(subject=SWAYS), {"brief": "A man walks down a street."}, "walking_without_displacement"),
        (clip_of(), {"detailed": "She is running. She smiles."}, "walking_without_displacement"),
        # The camera pans over somebody who stands: they move in the picture, not in the scene.
        (clip_of(PANS_RIGHT, SEATED), WALKING, "walking_without_displacement"),
        (clip_of(), {"movement_direction": "left"}, "movement_without_displacement"),
        (clip_of(), {"movement_direction": "towards_camera"}, "movement_without_displacement"),
        (clip_of(subject=WALKS_RIGHT), {"movement_direction": "left"}, "opposite_movement_direction"),
        (clip_of(subject=COMES), {"movement_direction": "away_from_camera"}, "opposite_movement_direction"),
        (clip_of(subject=WALKS_RIGHT), {"movement_direction": "still"}, "still_subject_moves"),
        (clip_of(), {"num_people": 0}, "fewer_people_than_seen"),
        (clip_of(people=3), {"num_people": 1}, "fewer_people_than_seen"),
        (clip_of(shot_type=ShotType.PORTRAIT), {"num_people": 5}, "more_people_than_seen"),
        (clip_of(mouth=2.0), TALKING, "talking_with_still_mouth"),
        (clip_of(mouth=2.0), {"brief": "A man sings."}, "talking_with_still_mouth"),
    ],
)
def test_contradictions(clip: Clip, caption: dict[str, object], rule: str) -> None:
    assert verdict(clip, **caption) == rule


@pytest.mark.parametrize(
    ("clip", "caption"),
    [
        (clip_of(), {"camera_movement": "static", "movement_direction": "still", "num_people": 1}),
        (clip_of(), {"detailed": "The camera is static and the man does not walk. He runs a hand over it."}),
        (clip_of(PANS_RIGHT, WALKS_RIGHT), {**WALKING, "camera_movement": "pan_right"}),
        # A camera that follows a walker: still in the picture, not in the scene.
        (clip_of(PANS_RIGHT, WALKS_RIGHT), {"brief": "The camera follows a man who walks."}),
        (clip_of(subject=COMES), {**WALKING, "movement_direction": "towards_camera"}),
        (clip_of(subject=WALKS_RIGHT), {"movement_direction": "right"}),
        # Between still and moving no rule objects.
        (clip_of(replace(STILL, speed_per_s=0.01)), {"camera_movement": "static"}),
        (clip_of(replace(STILL, speed_per_s=0.01)), {"camera_movement": "handheld"}),
        (clip_of(subject=SWAYS), {"movement_direction": "right"}),
        (clip_of(), {"detailed": "A man stands; people walk by in the background."}),
        (clip_of(people=2), {"num_people": 1}),
        (clip_of(shot_type=ShotType.UPPER_BODY), {"num_people": 20}),
        (clip_of(shot_type=ShotType.PORTRAIT), {"num_people": 3}),
        (clip_of(pool=Pool.GENERAL), {"num_people": 0}),
        (clip_of(mouth=15.0), TALKING),
        (clip_of(mouth=2.0), {"human_action": {"face": "smiling, not talking"}}),
    ],
)
def test_no_contradiction(clip: Clip, caption: dict[str, object]) -> None:
    assert verdict(clip, **caption) is None


@pytest.mark.parametrize(
    ("clip", "caption"),
    [
        (clip_of(None, None), {"camera_movement": "pan_left"}),
        (clip_of(None, None), {"camera_movement": "static"}),
        (clip_of(None, None), {**WALKING, "movement_direction": "left"}),
        (clip_of(subject=None), WALKING),
        (clip_of(subject=replace(SEATED, coverage=0.4)), WALKING),
        (clip_of(subject=None), {"movement_direction": "still"}),
        (clip_of(mouth=None), TALKING),
    ],
)
def test_rules_abstain_without_a_reliable_measurement(clip: Clip, caption: dict[str, object]) -> None:
    assert verdict(clip, **caption) is None


def test_talking_is_believed_where_there_is_sound() -> None:
    info = replace(BASE.media.info, audio_codec="aac")
    clip = replace(clip_of(mouth=2.0), media=replace(BASE.media, info=info))
    assert verdict(replace(clip, audio_type=AudioType.TALKING), **TALKING) is None
    assert verdict(replace(clip, audio_type=AudioType.NONE), **TALKING) == "talking_with_still_mouth"
    dropped = clip.drop_audio("sync", "persistent_mismatch")
    assert verdict(dropped, **TALKING) == "talking_with_still_mouth"


Finding = tuple[float, float, bool]


def finding(name: str, caption: Caption, clip: Clip) -> Finding | None:
    """What a rule measured, against what, and whether that contradicts the caption; None where it abstains."""
    scores = scores_of(clip.with_scores(**measure_claims(caption, clip)).scores)
    rules = [rule for rule in ConsistencyConfig().rules if rule.name == name and is_checked(rule, scores)]
    assert len(rules) < 2
    return next(((scores(x.limits[0].score), x.limits[0].threshold, bool(x.rejects(scores))) for x in rules), None)


CAPTION = Caption(brief="A person in a room.", detailed="A person in a room with a window.")
WALKS = CAPTION.model_copy(update={"brief": "A man walks down a street."})
TALKS = CAPTION.model_copy(update={"brief": "A man talks."})


def camera_says(movement: str) -> Caption:
    return CAPTION.model_copy(update={"camera_movement": CameraMovement(movement)})


def subject_goes(direction: str) -> Caption:
    return CAPTION.model_copy(update={"movement_direction": MovementDirection(direction)})


def people_said(number: int | None) -> Caption:
    return CAPTION.model_copy(update={"num_people": number})


def camera(**rates: float) -> Clip:
    return clip_of(replace(STILL, **rates))


def subject(**rates: float) -> Clip:
    return clip_of(subject=replace(SEATED, **rates))


def portrait(people: int) -> Clip:
    return clip_of(people=people, shot_type=ShotType.PORTRAIT)


@pytest.mark.parametrize(
    ("rule", "caption", "clip", "value", "threshold", "contradicts"),
    [
        ("moving_camera_on_static_shot", camera_says("roll"), camera(speed_per_s=0.003), 0.003, 0.003, False),
        ("moving_camera_on_static_shot", camera_says("roll"), camera(speed_per_s=0.002), 0.002, 0.003, True),
        ("static_camera_on_moving_shot", camera_says("static"), camera(speed_per_s=0.02), 0.02, 0.02, True),
        ("static_camera_on_moving_shot", camera_says("static"), camera(speed_per_s=0.019), 0.019, 0.02, False),
        ("opposite_camera_movement", camera_says("pan_left"), camera(pan_per_s=0.02), 0.02, 0.02, True),
        ("opposite_camera_movement", camera_says("pan_left"), camera(pan_per_s=0.019), 0.019, 0.02, False),
        ("opposite_camera_movement", camera_says("pan_right"), camera(pan_per_s=-0.03), 0.03, 0.02, True),
        ("opposite_camera_movement", camera_says("tilt_up"), camera(tilt_per_s=-0.04), 0.04, 0.02, True),
        ("opposite_camera_movement", camera_says("tilt_down"), camera(tilt_per_s=0.05), 0.05, 0.02, True),
        ("opposite_camera_movement", camera_says("zoom_in"), camera(zoom_per_s=-0.06), 0.06, 0.02, True),
        ("opposite_camera_movement", camera_says("zoom_out"), camera(zoom_per_s=0.07), 0.07, 0.02, True),
        # The clip lasts 5 s: at 0.03 a second the face's size changes by 0.15.
        ("walking_without_displacement", WALKS, subject(travel_heads=1.0), 1.0, 1.0, False),
        ("walking_without_displacement", WALKS, subject(travel_heads=0.9), 0.9, 1.0, True),
        ("walking_without_displacement", WALKS, subject(scale_per_s=0.03), 0.1, 1.0, False),
        ("walking_without_displacement", WALKS, subject(scale_per_s=-0.03), 0.1, 1.0, False),
        ("walking_without_displacement", WALKS, subject(scale_per_s=-0.029), 0.1, 1.0, True),
        ("movement_without_displacement", subject_goes("left"), subject(travel_heads=0.3), 0.3, 0.3, False),
        ("movement_without_displacement", subject_goes("left"), subject(travel_heads=0.29), 0.29, 0.3, True),
        ("movement_without_displacement", subject_goes("left"), subject(scale_per_s=0.02), 0.1, 0.3, False),
        ("movement_without_displacement", subject_goes("left"), subject(scale_per_s=-0.02), 0.1, 0.3, False),
        ("movement_without_displacement", subject_goes("left"), subject(scale_per_s=-0.019), 0.1, 0.3, True),
        ("opposite_movement_direction", subject_goes("left"), subject(dx_per_s=0.03), 0.03, 0.03, False),
        ("opposite_movement_direction", subject_goes("towards_camera"), subject(scale_per_s=-0.1), 0.1, 0.1, True),
        ("opposite_movement_direction", subject_goes("towards_camera"), subject(scale_per_s=-0.09), 0.09, 0.1, False),
        ("opposite_movement_direction", subject_goes("away_from_camera"), subject(scale_per_s=0.2), 0.2, 0.1, True),
        ("still_subject_moves", subject_goes("still"), subject(travel_heads=2.0), 2.0, 2.0, True),
        ("still_subject_moves", subject_goes("still"), subject(travel_heads=1.9), 1.9, 2.0, False),
        ("fewer_people_than_seen", people_said(1), clip_of(people=2), 1, 1, False),
        ("fewer_people_than_seen", people_said(1), clip_of(people=3), 2, 1, True),
        ("fewer_people_than_seen", people_said(0), clip_of(people=0), 0, 0, False),
        ("fewer_people_than_seen", people_said(0), clip_of(people=1), 1, 0, True),
        ("more_people_than_seen", people_said(3), portrait(1), 2, 2, False),
        ("more_people_than_seen", people_said(4), portrait(1), 3, 2, True),
        ("talking_with_still_mouth", TALKS, clip_of(mouth=6.0), 6.0, 6.0, False),
        ("talking_with_still_mouth", TALKS, clip_of(mouth=5.9), 5.9, 6.0, True),
    ],
)
def test_a_rule_says_what_it_measured_and_against_what(
    *, rule: str, caption: Caption, clip: Clip, value: float, threshold: float, contradicts: bool
) -> None:
    assert finding(rule, caption, clip) == (value, threshold, contradicts)


@pytest.mark.parametrize(
    ("direction", "rates"),
    [
        ("left", {"dx_per_s": 0.03}),
        ("right", {"dx_per_s": -0.03}),
        ("up", {"dy_per_s": 0.03}),
        ("down", {"dy_per_s": -0.03}),
    ],
)
def test_a_face_goes_the_other_way_when_it_is_fast_and_gets_far(direction: str, rates: dict[str, float]) -> None:
    name = "opposite_movement_direction"
    slower = {axis: rate / 2 for axis, rate in rates.items()}
    found = [
        finding(name, subject_goes(direction), clip)
        for clip in (
            subject(travel_heads=1.0, **rates),
            subject(travel_heads=0.9, **rates),
            subject(travel_heads=1.0, **slower),
        )
    ]
    assert found == [
        (0.03, 0.03, True),
        (0.03, 0.03, False),
        (0.015, 0.03, False),
    ]


def test_the_most_opposite_of_several_camera_movements_counts() -> None:
    caption = camera_says("pan_left").model_copy(update={"brief": "The camera tilts up."})
    found = finding("opposite_camera_movement", caption, camera(pan_per_s=0.03, tilt_per_s=-0.05))
    assert found == (0.05, 0.02, True)


@pytest.mark.parametrize(
    ("rule", "caption", "clip"),
    [
        ("moving_camera_on_static_shot", camera_says("static"), clip_of()),
        ("moving_camera_on_static_shot", camera_says("roll"), clip_of(None)),
        ("static_camera_on_moving_shot", camera_says("roll"), clip_of()),
        ("static_camera_on_moving_shot", camera_says("static"), clip_of(None)),
        ("opposite_camera_movement", camera_says("roll"), clip_of()),
        ("opposite_camera_movement", camera_says("pan_left"), clip_of(None)),
        ("walking_without_displacement", CAPTION, clip_of()),
        ("walking_without_displacement", WALKS, clip_of(subject=None)),
        ("movement_without_displacement", subject_goes("none"), clip_of()),
        ("movement_without_displacement", subject_goes("still"), clip_of()),
        ("opposite_movement_direction", subject_goes("none"), clip_of()),
        ("opposite_movement_direction", subject_goes("still"), clip_of()),
        ("still_subject_moves", subject_goes("left"), clip_of()),
        ("still_subject_moves", subject_goes("still"), clip_of(subject=None)),
        ("fewer_people_than_seen", people_said(None), clip_of()),
        ("fewer_people_than_seen", people_said(1), replace(clip_of(), num_people=None)),
        ("fewer_people_than_seen", people_said(1), clip_of(pool=Pool.GENERAL)),
        ("more_people_than_seen", people_said(0), portrait(1)),
        ("more_people_than_seen", people_said(None), portrait(1)),
        ("more_people_than_seen", people_said(1), portrait(0)),
        ("more_people_than_seen", people_said(1), clip_of()),
        ("talking_with_still_mouth", CAPTION, clip_of(mouth=2.0)),
        ("talking_with_still_mouth", TALKS, clip_of(mouth=None)),
    ],
)
def test_a_rule_without_claim_or_measurement_finds_nothing(rule: str, caption: Caption, clip: Clip) -> None:
    assert finding(rule, caption, clip) is None


def test_a_face_must_have_been_followed_on_enough_keyframes() -> None:
    rule = "still_subject_moves"
    assert finding(rule, subject_goes("still"), subject(coverage=0.6)) is not None
    assert finding(rule, subject_goes("still"), subject(coverage=0.59)) is None


def test_all_contradictions_are_recorded_and_the_first_rejects() -> None:
    caption = Caption(brief="A man walks.", detailed="The camera pans left.", num_people=0)
    clip = ConsistencyFilter(ConsistencyConfig())(replace(clip_of(), caption=caption))
    assert clip.rejection == Decision(
        stage="consistency", rule="moving_camera_on_static_shot", value=0.001, threshold=0.003
    )
    assert clip.scores["consistency_contradictions"] == (
        "moving_camera_on_static_shot, walking_without_displacement, fewer_people_than_seen"
    )
    assert clip.scores["consistency_claims_checked"] == 4.0


def test_a_clip_without_caption_passes() -> None:
    clip = clip_of()
    assert ConsistencyFilter(ConsistencyConfig())(clip) is clip


rates = st.floats(-0.5, 0.5)
cameras = st.builds(
    CameraMotion,
    pan_per_s=rates,
    tilt_per_s=rates,
    zoom_per_s=rates,
    roll_deg_per_s=st.floats(-30, 30),
    speed_per_s=st.floats(0, 0.5) | st.floats(0, 0.03),
    shake_per_s=st.floats(0, 0.1),
)
subjects = st.builds(
    SubjectMotion,
    dx_per_s=rates,
    dy_per_s=rates,
    scale_per_s=rates,
    travel_heads=st.floats(0, 10) | st.floats(0, 1),
    coverage=st.floats(0, 1),
)


@given(
    camera=st.none() | cameras,
    subject=st.none() | subjects,
    people=st.integers(0, 30),
    shot_type=st.sampled_from(ShotType),
    mouth=st.none() | st.floats(0, 40),
    pool=st.sampled_from(Pool),
    audio_type=st.none() | st.sampled_from(AudioType),
    has_audio=st.booleans(),
    sync_verdict=st.sampled_from([None, "in_sync", "unsure", "mismatch", "no_speech"]),
)
@settings(deadline=None)  # ten keyframes are decoded, which takes its time on a busy machine
def test_the_measured_captioner_never_contradicts_the_measurements(
    *,
    camera: CameraMotion | None,
    subject: SubjectMotion | None,
    people: int,
    shot_type: ShotType,
    mouth: float | None,
    pool: Pool,
    audio_type: AudioType | None,
    has_audio: bool,
    sync_verdict: str | None,
) -> None:
    clip = clip_of(camera, subject, people=people, shot_type=shot_type, mouth=mouth, pool=pool)
    info = replace(BASE.media.info, audio_codec="aac" if has_audio else None)
    clip = replace(clip, audio_type=audio_type, media=replace(BASE.media, info=info))
    clip = clip.with_scores(sync_verdict=sync_verdict)
    captioned = replace(clip, caption=MeasuredCaptioner().caption(clip, {}).caption)
    checked = ConsistencyFilter(ConsistencyConfig())(captioned)
    assert checked.kept, (checked.rejection, captioned.caption)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_coverage": 1.01}, "min_coverage must be in [0, 1], not 1.01"),
        ({"min_coverage": -0.01}, "min_coverage must be in [0, 1], not -0.01"),
        ({"still_speed_per_s": 0.021}, "still_speed_per_s must not be above moving_speed_per_s"),
        ({"still_travel_heads": 2.01}, "still_travel_heads must not be above moved_travel_heads"),
        ({"max_missed_people": -1}, "max_missed_people and max_unseen_people must not be negative"),
        ({"max_unseen_people": -1}, "max_missed_people and max_unseen_people must not be negative"),
    ],
)
def test_bad_configuration_is_one_clear_line(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ConsistencyConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"min_coverage": 0.0},
        {"min_coverage": 1.0},
        {"still_speed_per_s": 0.02},
        {"still_travel_heads": 2.0},
        {"max_missed_people": 0, "max_unseen_people": 0},
    ],
)
def test_a_configuration_at_its_limits_is_taken(changes: dict[str, float]) -> None:
    ConsistencyConfig(**changes)  # type: ignore[arg-type]
