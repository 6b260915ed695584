"""What a caption must be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from curation.clip.caption import (
    ATTRIBUTES,
    NONE,
    CameraMovement,
    Caption,
    Event,
    HumanAction,
    LabelError,
    MovementDirection,
    confirmed,
    with_labels,
)


def test_what_is_not_said_is_none() -> None:
    caption = Caption(brief="A person talks.", detailed="A person talks to the camera.")
    assert caption.scene == caption.human_action.hands == caption.style == NONE
    assert caption.camera_movement is CameraMovement.NONE
    assert caption.movement_direction is MovementDirection.NONE
    assert caption.num_people is None


def test_space_around_words_goes() -> None:
    assert Caption(brief="  A person. ", detailed="A person.\n").brief == "A person."


@pytest.mark.parametrize(
    "wrong",
    [
        {"brief": ""},
        {"brief": "   "},
        {"brief": "x" * 401},
        {"detailed": "x" * 4001},
        {"scene": "x" * 401},
        {"num_people": -1},
        {"num_people": 1001},
        {"camera_movement": "sideways"},
        {"mood": "happy"},
        {"human_action": {"feet": "tapping"}},
    ],
    ids=str,
)
def test_what_is_no_caption_is_refused(wrong: dict[str, object]) -> None:
    Caption.model_validate({"brief": "x" * 400, "detailed": "x" * 4000, "scene": "x" * 400, "num_people": 1000})
    with pytest.raises(ValidationError):
        Caption.model_validate({"brief": "A person.", "detailed": "A person.", **wrong})


def test_the_flat_names_are_all_attributes() -> None:
    own = {name for name in Caption.model_fields if name not in ("brief", "detailed", "events", "from_manifest")}
    assert {name.split(".")[0] for name in ATTRIBUTES} == own
    assert {f"human_action.{part}" for part in HumanAction.model_fields} <= set(ATTRIBUTES)


SAID = Caption(
    num_people=0,
    human_action=HumanAction(face="smiles"),
    camera_movement=CameraMovement.PAN_LEFT,
    brief="A room.",
    detailed="A room.",
)


def test_what_is_confirmed_is_said_in_words() -> None:
    assert confirmed(SAID) == {"num_people": "0", "human_action.face": "smiles", "camera_movement": "pan left"}


def test_labels_take_the_place_of_what_was_said() -> None:
    labelled = with_labels(SAID, {"human_action.face": "frowns", "num_people": "2", "style": "film"})
    assert (labelled.human_action.face, labelled.num_people, labelled.style) == ("frowns", 2, "film")
    assert labelled.from_manifest == ("human_action.face", "num_people", "style")
    assert with_labels(SAID, {}) == SAID
    for wrong in ({"num_people": "many"}, {"camera_movement": "sideways"}, {"scene": "x" * 401}):
        with pytest.raises(LabelError, match=f"^{next(iter(wrong))} cannot be '"):
            with_labels(SAID, wrong)


def test_an_event_lasts() -> None:
    assert Event(start_s=0.0, end_s=0.1, label="a man waves").end_s == 0.1
    for start_s, end_s in ((1.0, 1.0), (1.0, 0.5), (-1.0, 1.0)):
        with pytest.raises(ValidationError):
            Event(start_s=start_s, end_s=end_s, label="a man waves")
