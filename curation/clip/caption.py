"""The caption that every clip carries: what any captioner fills, and its JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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


class LabelError(ValueError):
    """A person's label does not fit the attribute that it is for."""


class Strict(BaseModel):
    """A part of a caption: nothing but its fields, and no blanks around texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class HumanAction(Strict):
    """What the person does, by part of the body."""

    body: Attribute = NONE
    head: Attribute = NONE
    face: Attribute = NONE
    hands: Attribute = NONE
    legs: Attribute = NONE


class Event(Strict):
    """A stretch of a clip in which one thing happens (paper, Sec. 4.1, human-centric event intervals)."""

    start_s: Annotated[float, Field(ge=0)]
    end_s: Annotated[float, Field(ge=0)]
    """Both in seconds from the clip's start."""
    label: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.end_s <= self.start_s:
            raise ValueError("an event ends after it begins")
        return self


class Caption(Strict):
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
    events: tuple[Event, ...] = ()
    """In order of time; empty where nobody was asked for them."""
    from_manifest: tuple[str, ...] = ()
    """Attributes that a person gave in the manifest, and no captioner."""


TEXTS: Final = ("brief", "detailed")
ATTRIBUTES: Final = (
    "scene",
    "shot_type",
    "num_people",
    *(f"human_action.{part}" for part in HumanAction.model_fields),
    "hand_gesture",
    "object_interaction",
    "movement_direction",
    "camera_movement",
    "style",
    "lighting",
)
"""What a caption says besides its texts, as one flat list of names."""


def confirmed(caption: Caption) -> dict[str, str]:
    """The attributes that say something, in words, by their flat names."""
    values = caption.model_dump(mode="json")
    flat = {**values, **{f"human_action.{part}": value for part, value in values["human_action"].items()}}
    return {name: str(flat[name]).replace("_", " ") for name in ATTRIBUTES if flat[name] not in (None, NONE)}


def with_labels(caption: Caption, labels: Mapping[str, str]) -> Caption:
    """The caption with attributes, by their flat names, that a person gave: they stand, and are named as theirs.

    Raises:
        LabelError: a label does not fit its attribute.
    """
    if not labels:
        return caption
    values: dict[str, Any] = caption.model_dump()
    for name, label in labels.items():
        group, _, part = name.rpartition(".")
        (values[group] if group else values)[part] = label
    try:
        return Caption.model_validate({**values, "from_manifest": tuple(labels)})
    except ValidationError as error:
        first = error.errors()[0]
        raise LabelError(f"{'.'.join(map(str, first['loc']))} cannot be {first['input']!r}: {first['msg']}") from error
