"""What captions claim, in the words that captioners use."""

from __future__ import annotations

import pytest

from curation.clip.caption import CameraMovement, Caption, HumanAction
from curation.clip.claims import (
    camera_movements,
    claims_moving_camera,
    claims_static_camera,
    claims_talking,
    claims_walking,
)


def says(detailed: str, **attributes: object) -> Caption:
    return Caption.model_validate({"brief": "A woman in a room.", "detailed": detailed, **attributes})


@pytest.mark.parametrize(
    "text",
    [
        "A man walks along the beach.",
        "She is running through the park, smiling.",
        "While talking, he strolls down the street.",
        "He is not smiling, and he walks slowly towards the camera.",
        "They jog side by side.",
    ],
)
def test_walking_is_claimed(text: str) -> None:
    assert claims_walking(says(text))


@pytest.mark.parametrize(
    "text",
    [
        "She stands still without walking.",
        "She isn't walking.",
        "He runs a hand through his hair.",
        "She runs her fingers over the keys.",
        "People walk by in the background.",
        "Pedestrians are walking past her.",
        "He sits in a run-down house.",
        "She jogs on a treadmill.",
        "She walks on the spot.",
        "He leans on a walking stick.",
        "Water is running; she washes her hands.",
        "She stands on a sidewalk.",
        "He is about to walk.",
    ],
)
def test_walking_is_not_claimed(text: str) -> None:
    assert not claims_walking(says(text))


@pytest.mark.parametrize("part", ["body", "legs"])
def test_walking_is_read_from_the_action(part: str) -> None:
    caption = says("A woman.", human_action={part: "walking forward"})
    assert claims_walking(caption)
    assert not claims_walking(says("A woman.", human_action={"hands": "walking forward"}))


@pytest.mark.parametrize(
    ("text", "talks"),
    [
        ("She is talking to the viewer.", True),
        ("He sings with closed eyes.", True),
        ("He is not speaking.", False),
        ("Her lips move as if speaking.", False),
        ("A loudspeaker stands beside her.", False),
    ],
)
def test_talking(text: str, talks: bool) -> None:
    assert claims_talking(says(text)) is talks
    assert claims_talking(says("A man.", human_action=HumanAction(face="talking")))


@pytest.mark.parametrize(
    ("text", "moves", "static", "directions"),
    [
        ("The camera slowly pans to the left.", True, False, {CameraMovement.PAN_LEFT}),
        ("The camera gradually zooms in on her face.", True, False, {CameraMovement.ZOOM_IN}),
        ("The shot begins to tilt up.", True, False, {CameraMovement.TILT_UP}),
        ("A slow pan to the right shows the room.", True, False, {CameraMovement.PAN_RIGHT}),
        ("The camera pans left, then the camera pans right.", True, False, set()),
        ("A handheld camera follows him.", True, False, set()),
        ("The camera is static.", False, True, set()),
        ("The camera remains completely still.", False, True, set()),
        ("A fixed shot of a man.", False, True, set()),
        ("The camera is static at first, then the camera zooms out.", True, False, {CameraMovement.ZOOM_OUT}),
        ("The camera does not pan.", False, False, set()),
        ("She walks towards the camera and tilts her head to the left.", False, False, set()),
        ("He moves away from the camera.", False, False, set()),
        ("He looks at the camera and moves his hands.", False, False, set()),
        ("She holds a frying pan in her left hand.", False, False, set()),
    ],
)
def test_camera(text: str, moves: bool, static: bool, directions: set[CameraMovement]) -> None:
    caption = says(text)
    assert claims_moving_camera(caption) is moves
    assert claims_static_camera(caption) is static
    assert camera_movements(caption) == directions


def test_the_attribute_counts_without_any_wording() -> None:
    panning = says("A woman.", camera_movement="pan_left")
    assert claims_moving_camera(panning)
    assert camera_movements(panning) == {CameraMovement.PAN_LEFT}
    assert claims_static_camera(says("A woman.", camera_movement="static"))
    assert claims_moving_camera(says("A woman.", camera_movement="handheld"))
    assert not claims_static_camera(says("The camera is static.", camera_movement="handheld"))
