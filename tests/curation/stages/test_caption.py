"""The measured captioner says what was measured, in valid captions and plain sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from curation.backends.caption.captioner import CaptionError, Described
from curation.clip.caption import CameraMovement, Caption, HumanAction, MovementDirection
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import AudioType, Clip, Decision, Score, ShotType
from curation.stages.caption import CaptionConfig, CaptionStage
from tests.worlds.people_clips import make_clip

STILL = CameraMotion(
    pan_per_s=0.0, tilt_per_s=0.0, zoom_per_s=0.0, roll_deg_per_s=0.0, speed_per_s=0.0, shake_per_s=0.0
)
SEATED = SubjectMotion(dx_per_s=0.0, dy_per_s=0.0, scale_per_s=0.0, travel_heads=0.2, coverage=1.0)


def clip_of(
    camera: CameraMotion | None = STILL,
    subject: SubjectMotion | None = SEATED,
    *,
    people: int = 1,
    audio: AudioType | None = None,
    **scores: Score,
) -> Clip:
    clip = make_clip([np.full((90, 160, 3), 128, np.uint8)] * 4, audio_codec="aac" if audio else None)
    clip = replace(
        clip,
        shot_type=ShotType.UPPER_BODY if people else ShotType.NONE,
        num_people=people,
        audio_type=audio,
    )
    return clip.with_scores(
        **(camera.scores() if camera else CameraMotion.unknown()),
        **(subject.scores() if subject else SubjectMotion.unknown()),
        **scores,
    )


def caption(clip: Clip) -> Caption:
    clip = CaptionStage(CaptionConfig())(clip)
    assert clip.caption is not None
    return clip.caption


def test_a_seated_talker() -> None:
    result = caption(clip_of(audio=AudioType.TALKING, sync_verdict="in_sync"))
    assert result == Caption(
        shot_type="upper body",
        num_people=1,
        human_action=HumanAction(face="talking", head="sways a little"),
        movement_direction=MovementDirection.STILL,
        camera_movement=CameraMovement.STATIC,
        lighting="medium brightness, low contrast and neutral colours",
        brief="A mostly grey, horizontal upper-body shot of one person talking; the head sways a little; the camera "
        "is static.",
        detailed="This is a horizontal upper-body shot in which one person is seen. The person is talking. The person "
        "stays in place. The head sways a little. The camera is static. The picture has medium brightness, low "
        "contrast and neutral colours. Most of it is grey.",
    )


def test_what_was_not_measured_is_none() -> None:
    result = caption(clip_of(None, None, people=0))
    assert result.camera_movement is CameraMovement.NONE
    assert result.movement_direction is MovementDirection.NONE
    assert result.human_action == HumanAction()
    # No face found is not the same as nobody there.
    assert result.num_people is None
    for attribute in ("scene", "hand_gesture", "object_interaction", "style", "shot_type"):
        assert getattr(result, attribute) == "none"
    assert result.brief == "A mostly grey, horizontal shot with no visible face."


@pytest.mark.parametrize(
    ("verdict", "dropped", "face", "heard"),
    [
        ("in_sync", False, "talking", True),
        ("unsure", False, "none", True),
        (None, False, "none", True),
        ("in_sync", True, "none", False),
    ],
)
def test_speech_is_theirs_only_when_lips_and_sound_agree(
    verdict: str | None, dropped: bool, face: str, heard: bool
) -> None:
    clip = clip_of(audio=AudioType.TALKING, sync_verdict=verdict)
    result = caption(clip.drop_audio("sync", "persistent_mismatch") if dropped else clip)
    assert result.human_action.face == face
    assert bool(re.search(r"talking|Speech is heard", result.detailed)) is heard


def moving(**rates: float) -> CameraMotion:
    return replace(STILL, **rates)


@pytest.mark.parametrize(
    ("camera", "name"),
    [
        (STILL, CameraMovement.STATIC),
        (moving(speed_per_s=0.002), CameraMovement.STATIC),
        (moving(speed_per_s=0.006, pan_per_s=0.006), CameraMovement.NONE),
        (moving(speed_per_s=0.09, pan_per_s=0.1), CameraMovement.PAN_RIGHT),
        (moving(speed_per_s=0.09, pan_per_s=-0.1), CameraMovement.PAN_LEFT),
        (moving(speed_per_s=0.05, tilt_per_s=0.1), CameraMovement.TILT_UP),
        (moving(speed_per_s=0.05, tilt_per_s=-0.1), CameraMovement.TILT_DOWN),
        (moving(speed_per_s=0.04, zoom_per_s=0.1), CameraMovement.ZOOM_IN),
        (moving(speed_per_s=0.04, zoom_per_s=-0.1), CameraMovement.ZOOM_OUT),
        (moving(speed_per_s=0.06, roll_deg_per_s=-8.0), CameraMovement.ROLL),
        (moving(speed_per_s=0.04, shake_per_s=0.03, pan_per_s=0.005), CameraMovement.HANDHELD),
        (moving(speed_per_s=0.04, shake_per_s=0.001, pan_per_s=0.005), CameraMovement.NONE),
        (None, CameraMovement.NONE),
    ],
)
def test_camera_movements_are_named(camera: CameraMotion | None, name: CameraMovement) -> None:
    assert caption(clip_of(camera)).camera_movement is name


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, MovementDirection.STILL),
        ({"travel_heads": 3.0, "dx_per_s": 0.1}, MovementDirection.RIGHT),
        ({"travel_heads": 3.0, "dx_per_s": -0.1, "dy_per_s": 0.05}, MovementDirection.LEFT),
        ({"travel_heads": 3.0, "dy_per_s": 0.1}, MovementDirection.DOWN),
        ({"travel_heads": 3.0, "dy_per_s": -0.1}, MovementDirection.UP),
        ({"scale_per_s": 0.2}, MovementDirection.TOWARDS_CAMERA),
        ({"scale_per_s": -0.2}, MovementDirection.AWAY_FROM_CAMERA),
        ({"travel_heads": 0.7}, MovementDirection.NONE),
        ({"travel_heads": 3.0, "dx_per_s": 0.01}, MovementDirection.NONE),
        ({"coverage": 0.3}, MovementDirection.NONE),
    ],
)
def test_directions_are_named(changes: dict[str, float], name: MovementDirection) -> None:
    assert caption(clip_of(subject=replace(SEATED, **changes))).movement_direction is name


def test_every_value_of_the_schema_validates_and_nothing_else() -> None:
    texts = {"brief": "A man.", "detailed": "A man in a room."}
    for camera in CameraMovement:
        for direction in MovementDirection:
            made = Caption.model_validate(
                {**texts, "camera_movement": camera.value, "movement_direction": direction.value}
            )
            assert Caption.model_validate_json(made.model_dump_json()) == made
    full = Caption(
        scene="a kitchen",
        shot_type="full body",
        num_people=2,
        human_action=HumanAction(body="turns", head="nods", face="smiles", hands="wave", legs="stand"),
        hand_gesture="waving",
        object_interaction="holds a cup",
        style="realistic",
        lighting="soft",
        brief="Two people.",
        detailed="Two people in a kitchen.",
    )
    assert Caption.model_validate_json(full.model_dump_json()) == full
    for wrong in (
        {"camera_movement": "sideways"},
        {"movement_direction": "north"},
        {"num_people": -1},
        {"num_people": 1.5},
        {"mood": "sad"},
        {"human_action": {"tail": "wags"}},
        {"scene": ""},
        {"brief": "  "},
        {"detailed": "x" * 4001},
    ):
        with pytest.raises(ValidationError):
            Caption.model_validate({**texts, **wrong})


@pytest.mark.parametrize("people", [1, 2, 3, 12])
@pytest.mark.parametrize("shot_type", ShotType)
def test_texts_are_sentences(people: int, shot_type: ShotType) -> None:
    clip = clip_of(people=people, audio=AudioType.SINGING, sync_verdict="in_sync")
    result = caption(replace(clip, shot_type=shot_type))
    for text in (result.brief, result.detailed):
        assert "  " not in text
        assert text.endswith(".")
        assert not re.search(r"\ba [aeiou]", text, re.IGNORECASE)
        assert all(sentence[0].isupper() for sentence in text.split(". "))
    assert ("person" in result.brief) is (people == 1)
    assert ("people" in result.brief) is (people > 1)


def test_a_captioner_without_an_answer_rejects_the_clip() -> None:
    class Mute:
        def caption(self, clip: Clip, labels: Mapping[str, str]) -> Described:
            raise CaptionError(f"nothing to say of {clip.key}")

    stage = CaptionStage(CaptionConfig())
    stage.captioner = Mute()
    clip = stage(clip_of())
    assert clip.rejection == Decision(stage="caption", rule="no_valid_caption")
    assert clip.caption is None
    assert (clip.scores["caption_error"], clip.scores["caption_said"]) == ("nothing to say of made-0000", None)


def test_what_people_labelled_takes_the_captioners_place() -> None:
    stage = CaptionStage(
        CaptionConfig(label_columns={"gesture": "hand_gesture", "legs": "human_action.legs", "people": "num_people"})
    )
    clip = stage(replace(clip_of(), metadata={"gesture": " waves ", "legs": "", "people": 2, "other": "x"}))
    assert clip.caption is not None
    assert (clip.caption.hand_gesture, clip.caption.human_action.legs, clip.caption.num_people) == ("waves", "none", 2)
    assert clip.caption.from_manifest == ("hand_gesture", "num_people")
    assert clip.caption.style == "none"


def test_a_label_that_does_not_fit_rejects_the_clip_and_says_why() -> None:
    stage = CaptionStage(CaptionConfig(label_columns={"way": "movement_direction"}))
    clip = stage(replace(clip_of(), metadata={"way": "north"}))
    assert clip.rejection == Decision(stage="caption", rule="invalid_label")
    assert str(clip.scores["caption_error"]).startswith("movement_direction cannot be 'north': Input should be 'still'")
    assert stage(clip_of()).kept


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"gesture": "gesture"}, "caption.label_columns.gesture: no attribute 'gesture'; there are scene, "),
        ({"gesture": "brief"}, "no attribute 'brief'"),
        ({"gesture": "human_action"}, "no attribute 'human_action'"),
        ({"a": "scene", "b": "scene"}, "two columns for one attribute"),
    ],
)
def test_label_columns_name_attributes(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptionConfig(label_columns=columns)


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown captioner 'qwen'; known: measured"):
        CaptionStage(CaptionConfig(backend="qwen"))
