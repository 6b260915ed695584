"""The caption that every clip carries: what any captioner fills, and its JSON schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NONE = "none"
"""What cannot be confirmed (paper, Sec. 4.1: "label any unconfirmable attributes as none")."""

Attribute = Annotated[str, Field(min_length=1, max_length=400)]


class CameraMovement(StrEnum):
    """How the camera moves."""

    STATIC = "static"
    PAN_LEFT = "pan_left"
    PAN_RIGHT = "pan_right"
    TILT_UP = "tilt_up"
    TILT_DOWN = "tilt_down"
    ZOOM_IN = "zoom_in"
    ZOOM_OUT = "zoom_out"
    ROLL = "roll"
    HANDHELD = "handheld"
    NONE = "none"


class MovementDirection(StrEnum):
    """Where the main subject goes in the scene, camera motion taken out."""

    STILL = "still"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    TOWARDS_CAMERA = "towards_camera"
    AWAY_FROM_CAMERA = "away_from_camera"
    NONE = "none"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class HumanAction(_Strict):
    """What the person does, by part of the body."""

    body: Attribute = NONE
    head: Attribute = NONE
    face: Attribute = NONE
    hands: Attribute = NONE
    legs: Attribute = NONE


class Caption(_Strict):
    """Structured attributes and two texts of one clip (paper, Sec. 4.1, automatic fine-grained labeling)."""

    scene: Attribute = NONE
    shot_type: Attribute = NONE
    num_people: Annotated[int, Field(ge=0, le=1000)] | None = None
    human_action: HumanAction = HumanAction()
    hand_gesture: Attribute = NONE
    object_interaction: Attribute = Field(default=NONE, description="Physical contact with an object only.")
    movement_direction: MovementDirection = MovementDirection.NONE
    camera_movement: CameraMovement = CameraMovement.NONE
    style: Attribute = NONE
    lighting: Attribute = NONE
    brief: Annotated[str, Field(min_length=1, max_length=400)]
    detailed: Annotated[str, Field(min_length=1, max_length=4000)]
