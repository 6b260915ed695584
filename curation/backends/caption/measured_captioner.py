"""A captioner that states what was measured and nothing else: no model, no weights, no invention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curation.backends.caption.captioner import Described
from curation.backends.caption.colour_words import main_colour
from curation.backends.caption.framing_words import Framing, hand_motion, head_motion, shape
from curation.backends.caption.light_words import Light, describe_light
from curation.backends.motion.words import camera_movement, movement_direction
from curation.clip.caption import NONE, CameraMovement, Caption, HumanAction, MovementDirection, with_labels
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import AudioType, Clip, Score, ShotType, Verdict

_SHOT = {
    ShotType.PORTRAIT: "portrait shot",
    ShotType.UPPER_BODY: "upper-body shot",
    ShotType.FULL_BODY: "full-body shot",
    ShotType.NONE: "shot",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CAMERA = {
    CameraMovement.STATIC: "is static",
    CameraMovement.PAN_LEFT: "pans{} to the left",
    CameraMovement.PAN_RIGHT: "pans{} to the right",
    CameraMovement.TILT_UP: "tilts{} up",
    CameraMovement.TILT_DOWN: "tilts{} down",
    CameraMovement.ZOOM_IN: "zooms{} in",
    CameraMovement.ZOOM_OUT: "zooms{} out",
    CameraMovement.ROLL: "rolls{}",
    CameraMovement.HANDHELD: "is handheld",
}
SLOW_BELOW_PER_S, QUICK_FROM_PER_S = 0.03, 0.1
"""Speed of the camera in diagonals a second: a seventh, and half, of the picture in 5 s."""
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
CONSTANT_FROM, PAUSING_BELOW = 0.75, 0.4
"""Share of the time with a voice."""
STILL_MOUTH, MOVING_MOUTH = 5.0, 9.0
"""Mean brightness change of the mouth, 0 to 255: a closed mouth in a moving head up to the first, speech from the
second on [measured on the labelled clips]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What is known of a clip, in the terms of the caption's schema."""

    shape: str
    shot_type: ShotType
    num_people: int
    framing: Framing | None
    head: str | None
    hands: str | None
    lips: str | None
    """What the lips do where nothing is heard."""
    sound: str | None
    """A sentence on what is heard, where it is not the main person who is heard."""
    speech: str | None
    """Talking or singing of the main person, whose lips go with it."""
    pace: str
    """How constantly they do."""
    movement: CameraMovement
    camera: str | None
    """What the camera does."""
    direction: MovementDirection
    light: Light | None
    colour: str | None


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
            human_action=HumanAction(face=facts.speech or NONE, head=facts.head or NONE, hands=facts.hands or NONE),
            movement_direction=facts.direction,
            camera_movement=facts.movement,
            lighting=str(facts.light or NONE),
            brief=_brief(facts),
            detailed=_detailed(facts),
        )
        return Described(caption=with_labels(caption, labels))


def _facts(clip: Clip) -> _Facts:
    aspect = clip.width / clip.height
    people = clip.num_people or 0
    heard = _SPEECH.get(clip.audio_type) if clip.has_audio and clip.audio_type else None
    in_sync = clip.scores.get("sync_verdict") == Verdict.IN_SYNC
    motion, camera = SubjectMotion.of(clip), CameraMotion.of(clip)
    movement = camera_movement(camera, aspect)
    # A voice may be anybody's; only lips that go with it tell whose it is.
    speech = heard if in_sync and people else None
    return _Facts(
        shape=shape(clip),
        shot_type=clip.shot_type or ShotType.NONE,
        num_people=people,
        framing=Framing.of(clip) if people else None,
        head=head_motion(motion) if people else None,
        hands=hand_motion(clip.people, clip) if people else None,
        lips=None if clip.has_audio or not people else _lips(clip.scores.get("subject_mouth_change")),
        sound=None if speech else _sound(clip, heard),
        speech=speech,
        pace=_pace(clip.scores.get("speech_fraction")),
        movement=movement,
        camera=_camera(movement, camera),
        direction=movement_direction(motion, aspect) if people else MovementDirection.NONE,
        light=describe_light(clip.keyframes),
        colour=main_colour(clip.keyframes),
    )


def _lips(change: Score) -> str | None:
    if not isinstance(change, float) or STILL_MOUTH < change < MOVING_MOUTH:
        return None
    return "hardly move" if change <= STILL_MOUTH else "move"


def _sound(clip: Clip, heard: str | None) -> str | None:
    if not clip.has_audio:
        return "There is no sound."
    if heard:
        return f"{'Speech' if heard == 'talking' else 'Singing'} is heard."
    return {AudioType.NONE: "No voice is heard.", AudioType.UNKNOWN: "A voice or music is heard."}.get(
        clip.audio_type or AudioType.TALKING
    )


def _pace(speech_fraction: Score) -> str:
    if not isinstance(speech_fraction, float):
        return ""
    return (
        " almost all the time"
        if speech_fraction >= CONSTANT_FROM
        else (" now and then" if speech_fraction < PAUSING_BELOW else "")
    )


def _camera(movement: CameraMovement, camera: CameraMotion | None) -> str | None:
    if camera is None or movement is CameraMovement.NONE:
        return None
    slow, quick = camera.speed_per_s < SLOW_BELOW_PER_S, camera.speed_per_s >= QUICK_FROM_PER_S
    return _CAMERA[movement].format(" slowly" if slow else " quickly" if quick else "")


def _brief(facts: _Facts) -> str:
    looks = [*(facts.light.adjectives if facts.light else ()), *([f"mostly {facts.colour}"] if facts.colour else [])]
    shot = f"{', '.join([*looks, facts.shape])} {_SHOT[facts.shot_type]}"
    text = f"{_article(shot).capitalize()} {shot} "
    if facts.num_people:
        single = facts.num_people == 1
        text += f"of {_number(facts.num_people)} {'person' if single else 'people'}"
        text += "" if single else ", the main one"
        text += f" {facts.framing.across}" if facts.framing else ""
        text += f"{',' if single and facts.framing else ''} {facts.speech}{facts.pace}" if facts.speech else ""
        if not single and not facts.framing and not facts.speech:
            text = text.removesuffix(", the main one")
    else:
        text += "with no visible face"
    parts = {"lips": facts.lips, "head": facts.head, "hands": facts.hands, "camera": facts.camera}
    return "; ".join([text, *(f"the {part} {moves}" for part, moves in parts.items() if moves)]) + "."


def _detailed(facts: _Facts) -> str:
    shot = f"{facts.shape} {_SHOT[facts.shot_type]}"
    single = facts.num_people == 1
    person = "The person" if single else "The main person"
    seen = "no face is seen"
    if facts.num_people:
        seen = f"{_number(facts.num_people)} {'person is' if single else 'people are'} seen"
    goes = _DIRECTION.get(facts.direction)
    sentences = (
        f"This is {_article(shot)} {shot} in which {seen}.",
        facts.framing
        and f"{person}'s head is {facts.framing.place} and takes {facts.framing.size} of the picture's height.",
        facts.speech and f"{person} is {facts.speech}{facts.pace}.",
        facts.sound,
        facts.lips and f"The lips {facts.lips}.",
        goes and f"{person} {goes}.",
        facts.head and f"The head {facts.head}.",
        facts.hands and f"The hands {facts.hands}.",
        facts.camera and f"The camera {facts.camera}.",
        facts.light and f"The picture has {facts.light}.",
        facts.colour and f"Most of it is {facts.colour}.",
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
