"""What a caption claims about motion, people and speech: from its attributes and from its wording.

Captions are English, as the prompts of the captioner ask. Words are read clause by clause. A clause that negates
("without walking"), that speaks of others ("people walk by in the background") or that uses a word in another sense
("runs a hand through her hair") claims nothing: a missed claim lets a clip pass, an invented one would reject a good
clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from curation.clip.caption import NONE, TEXTS, CameraMovement, Caption, confirmed


@dataclass(frozen=True, slots=True)
class Claim:
    """What a caption says in one place."""

    attribute: str
    """Its flat name, or that of a text."""
    value: str
    """In words; never "none"."""

    def __str__(self) -> str:
        return f"{self.attribute}: {self.value}"


def attribute_claims(caption: Caption) -> tuple[Claim, ...]:
    """Every attribute that says something, then the texts, each as a claim that can be judged by itself."""
    texts = {name: getattr(caption, name) for name in TEXTS}
    return tuple(Claim(attribute, value) for attribute, value in {**confirmed(caption), **texts}.items())


_CLAUSE_END = re.compile(r"[.,;:!?\n]+|\b(?:while|whereas|although|but)\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:no|not|never|neither|nor|none|without|hardly|barely|stops?|stopped|instead of|rather than|"
    r"about to|ready to|as if|as though)\b|n't\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:background|behind|passers?-?by|pedestrians?|crowds?|others?|bystanders?|strangers?|someone|"
    r"dogs?|cats?|cars?|vehicles?|screen|poster)\b",
    re.IGNORECASE,
)

_WALK = re.compile(
    r"(?<![\w-])(?:walk(?:s|ed|ing)?|run(?:s|ning)?|ran|jog(?:s|ged|ging)?|sprint(?:s|ed|ing)?|stroll(?:s|ed|ing)?|"
    r"strid(?:es|ing)|strode|march(?:es|ed|ing)|wander(?:s|ed|ing)?|pac(?:es|ing))(?![\w-])",
    re.IGNORECASE,
)
_NOT_WALKING = re.compile(
    # Walking in place on purpose, other things that run, and nouns.
    r"\b(?:treadmill|on the spot|in place|in (?:a |the )?(?:photo|picture frame))\b"
    r"|\brun(?:s|ning)?\s+(?:(?:a|an|the|one|both|her|his|their|its|through|over|along|down|across)\s+)*"
    r"(?:hands?|fingers?|palms?|thumbs?|hair|beard|water|tap|nose|joke|late|out|shoes?|text|commentary|meeting)\b"
    r"|\b(?:water|tap|nose|engine|clock|time|film|video)\s+(?:is\s+)?run(?:s|ning)?\b"
    r"|\b(?:walking|running)\s+(?:stick|cane|shoes?|boots?|frame|water|gag|track|machine|suit)\b"
    r"|\b(?:long|home|test|dry)\s+run\b",
    re.IGNORECASE,
)

_TALK = re.compile(
    r"\b(?:talk(?:s|ed|ing)?|speak(?:s|ing)?|spoke|sing(?:s|ing)?|sang|chat(?:s|ted|ting)?|narrat(?:es|ing))\b",
    re.IGNORECASE,
)

# Only where the camera itself moves: "walks towards the camera" and "a frying pan" are no camera movement.
_CAMERA = (
    r"(?<!towards the )(?<!toward the )(?<!at the )(?<!to the )(?<!from the )"
    r"\b(?:camera|shot|lens|framing|view|viewpoint)\s+"
    r"(?:(?:is|then|also|starts?|begins?|continues?|to|by|\w+ly(?:\s+and\s+\w+ly)?)\s+){0,4}"
)
_MOVES = re.compile(
    _CAMERA + r"(?:pan(?:s|ned|ning)?|tilt(?:s|ed|ing)?|zoom(?:s|ed|ing)?|roll(?:s|ed|ing)?|track(?:s|ed|ing)|"
    r"orbit(?:s|ed|ing)?|dolly|dollies|truck(?:s|ing)|push(?:es|ed|ing)?|pull(?:s|ed|ing)?|handheld|hand-held|"
    r"follow(?:s|ed|ing)|circl(?:es|ed|ing)|shak(?:es|ing|y)|mov(?:es|ed|ing))\b"
    r"|\b(?:slow|gentle|smooth|quick|slight|subtle|camera)\s+(?:pan|tilt|zoom|dolly|roll)\b"
    r"|\b(?:tracking|panning|tilting|zooming|dolly|handheld|hand-held|shaky|moving)\s+"
    r"(?:shot|camera|footage|movement)\b"
    r"|\bzoom(?:s|ing)?[- ](?:in|out)\b",
    re.IGNORECASE,
)
_STATIC = re.compile(
    _CAMERA
    + r"(?:(?:remains?|stays?|keeps?|holds?|appears?)\s+)?(?:\w+ly\s+)?"
    + r"(?:static|stationary|fixed|locked|motionless|still|on a tripod)\b"
    r"|\b(?:static|stationary|fixed|locked[- ]off|motionless)\s+(?:camera|shot|framing|view|viewpoint)\b",
    re.IGNORECASE,
)
_DIRECTED = {
    CameraMovement.PAN_LEFT: re.compile(r"\bpan\w*\b.*\b(?:left|leftwards?)\b", re.IGNORECASE),
    CameraMovement.PAN_RIGHT: re.compile(r"\bpan\w*\b.*\b(?:right|rightwards?)\b", re.IGNORECASE),
    CameraMovement.TILT_UP: re.compile(r"\btilt\w*\b.*\b(?:up|upwards?)\b", re.IGNORECASE),
    CameraMovement.TILT_DOWN: re.compile(r"\btilt\w*\b.*\b(?:down|downwards?)\b", re.IGNORECASE),
    CameraMovement.ZOOM_IN: re.compile(r"\bzoom\w*\b.*\bin\b", re.IGNORECASE),
    CameraMovement.ZOOM_OUT: re.compile(r"\bzoom\w*\b.*\bout\b", re.IGNORECASE),
}
_OPPOSITES = (
    {CameraMovement.PAN_LEFT, CameraMovement.PAN_RIGHT},
    {CameraMovement.TILT_UP, CameraMovement.TILT_DOWN},
    {CameraMovement.ZOOM_IN, CameraMovement.ZOOM_OUT},
)


def claims_walking(caption: Caption) -> bool:
    """Whether the main person is said to walk or run."""
    action = caption.human_action
    return any(
        _WALK.search(_NOT_WALKING.sub(" ", clause)) is not None and _NOT_WALKING.search(clause) is None
        for clause in _affirmed((action.body, action.legs, caption.brief, caption.detailed))
        if _OTHERS.search(clause) is None
    )


def claims_talking(caption: Caption) -> bool:
    """Whether the main person is said to talk or sing."""
    action = caption.human_action
    return any(
        _TALK.search(clause) is not None and _OTHERS.search(clause) is None
        for clause in _affirmed((action.face, action.head, action.body, caption.brief, caption.detailed))
    )


def camera_movements(caption: Caption) -> frozenset[CameraMovement]:
    """The directed movements that attribute and wording name; of two opposite ones in the wording, neither."""
    named = {
        movement
        for clause in _affirmed((caption.brief, caption.detailed))
        if _MOVES.search(clause)
        for movement, wording in _DIRECTED.items()
        if wording.search(clause)
    }
    for pair in _OPPOSITES:
        if pair <= named:
            named -= pair
    if caption.camera_movement in _DIRECTED:
        named.add(caption.camera_movement)
    return frozenset(named)


def claims_moving_camera(caption: Caption) -> bool:
    """Whether the camera is said to move in any way, by the attribute or by the wording."""
    if caption.camera_movement not in (CameraMovement.STATIC, CameraMovement.NONE):
        return True
    return any(_MOVES.search(clause) for clause in _affirmed((caption.brief, caption.detailed)))


def claims_static_camera(caption: Caption) -> bool:
    """Whether the camera is said to stand still throughout: by the attribute, or by wording that names no
    movement either.
    """
    if caption.camera_movement is not CameraMovement.NONE:
        return caption.camera_movement is CameraMovement.STATIC
    clauses = list(_affirmed((caption.brief, caption.detailed)))
    return any(map(_STATIC.search, clauses)) and not any(map(_MOVES.search, clauses))


def _affirmed(texts: tuple[str, ...]) -> Iterator[str]:
    """The clauses of `texts` that negate nothing."""
    for text in texts:
        if text != NONE:
            yield from (clause for clause in _CLAUSE_END.split(text) if clause and not _NEGATION.search(clause))
