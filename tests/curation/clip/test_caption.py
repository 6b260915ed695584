"""What a caption must be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from curation.clip.caption import NONE, CameraMovement, Caption, MovementDirection


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
