"""A captioner that states what was measured and nothing else: no model, no weights, no invention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curation.backends.caption.captioner import Described
from curation.backends.caption.light_words import describe_light
from curation.backends.motion.words import camera_movement, movement_direction
from curation.clip.caption import NONE, CameraMovement, Caption, HumanAction, MovementDirection, with_labels
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import AudioType, Clip, ShotType, Verdict

_SHOT = {
    ShotType.PORTRAIT: "portrait shot",
    ShotType.UPPER_BODY: "upper-body shot",
    ShotType.FULL_BODY: "full-body shot",
    ShotType.NONE: "shot",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CAMERA = {
    CameraMovement.STATIC: "is static",
    CameraMovement.PAN_LEFT: "pans to the left",
    CameraMovement.PAN_RIGHT: "pans to the right",
    CameraMovement.TILT_UP: "tilts up",
    CameraMovement.TILT_DOWN: "tilts down",
    CameraMovement.ZOOM_IN: "zooms in",
    CameraMovement.ZOOM_OUT: "zooms out",
    CameraMovement.ROLL: "rolls",
    CameraMovement.HANDHELD: "is handheld",
}
_DIRECTION = {
    MovementDirection.STILL: "stays in place",
    MovementDirection.LEFT: "moves to the left",
    MovementDirection.RIGHT: "moves to the right",
    MovementDirection.UP: "moves up",
    MovementDirection.DOWN: "moves down",
    MovementDirection.TOWARDS_CAMERA: "comes closer to the camera",
    MovementDirection.AWAY_FROM_CAMERA: "moves away from the camera",
}
_SPEECH = {AudioType.TALKING: "talking", AudioType.SINGING: "singing"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What is known of a clip, in the terms of the caption's schema."""

    shot_type: ShotType
    num_people: int
    heard: str | None
    """Talking or singing that is heard, whoever it is from."""
    speech: str | None
    """The same where the main person's lips go with it, else None."""
    movement: CameraMovement
    direction: MovementDirection
    light: str | None


class MeasuredCaptioner:
    """Fills the schema from scores, tracks and brightness; `"none"` where these do not suffice."""

    def caption(self, clip: Clip, labels: Mapping[str, str]) -> Described:
        """A valid caption for any clip."""
        facts = _facts(clip)
        shot_type = facts.shot_type
        caption = Caption(
            shot_type=NONE if shot_type is ShotType.NONE else shot_type.value.replace("_", " "),
            # That no face was found does not mean that nobody is there.
            num_people=facts.num_people or None,
            human_action=HumanAction(face=facts.speech or NONE),
            movement_direction=facts.direction,
            camera_movement=facts.movement,
            lighting=facts.light or NONE,
            brief=_brief(facts),
            detailed=_detailed(facts),
        )
        return Described(caption=with_labels(caption, labels))


def _facts(clip: Clip) -> _Facts:
    aspect = clip.width / clip.height
    people = clip.num_people or 0
    heard = _SPEECH.get(clip.audio_type) if clip.has_audio and clip.audio_type else None
    in_sync = clip.scores.get("sync_verdict") == Verdict.IN_SYNC
    subject = movement_direction(SubjectMotion.of(clip), aspect)
    return _Facts(
        shot_type=clip.shot_type or ShotType.NONE,
        num_people=people,
        heard=heard,
        # A voice may be anybody's; only lips that go with it tell whose it is.
        speech=heard if in_sync and people else None,
        movement=camera_movement(CameraMotion.of(clip), aspect),
        direction=subject if people else MovementDirection.NONE,
        light=describe_light(clip.keyframes),
    )


def _brief(facts: _Facts) -> str:
    shot = _SHOT[facts.shot_type]
    if facts.num_people:
        noun = "person" if facts.num_people == 1 else "people"
        text = f"{_article(shot).capitalize()} {shot} of {_number(facts.num_people)} {noun}"
    else:
        text = f"{_article(shot).capitalize()} {shot} with no visible face"
    if facts.speech:
        text += f" {facts.speech}" if facts.num_people == 1 else f", the main one {facts.speech}"
    if facts.movement is not CameraMovement.NONE:
        text += f"; the camera {_CAMERA[facts.movement]}"
    return text + "."


def _detailed(facts: _Facts) -> str:
    shot = _SHOT[facts.shot_type]
    single = facts.num_people == 1
    person = "The person" if single else "The main person"
    seen = "no face is seen"
    if facts.num_people:
        seen = f"{_number(facts.num_people)} {'person is' if single else 'people are'} seen"
    sentences = [f"This is {_article(shot)} {shot} in which {seen}."]
    if facts.speech:
        sentences.append(f"{person} is {facts.speech}.")
    elif facts.heard:
        sentences.append(f"{'Speech' if facts.heard == 'talking' else 'Singing'} is heard.")
    if facts.direction is not MovementDirection.NONE:
        sentences.append(f"{person} {_DIRECTION[facts.direction]}.")
    if facts.movement is not CameraMovement.NONE:
        sentences.append(f"The camera {_CAMERA[facts.movement]}.")
    if facts.light:
        sentences.append(f"The picture has {facts.light}.")
    return " ".join(sentences)


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
