"""How much of a person is seen, told from the face alone: the figure of eight heads.

Artists' canon (Loomis, *Figure Drawing for All It's Worth*, 1943, "ideal proportions"): an upright figure is eight head
heights tall; counted down from the crown: chin 1, shoulders 1.5, nipples 2, navel 3, crotch 4, lower edge of the knees
6, soles 8; two head heights across the shoulders. Average adults are nearer 7.5 heads. A seated or bent person is
shorter than the canon, and things that stand in front of a body are not noticed.
"""

from __future__ import annotations

from curation.clip.observations import Box, FaceTrack

HEADS_PER_FACE = 1.5
"""Head height, crown (with hair) to chin, over the height of the detector's box: dlib's HOG box runs from
above the brows to the chin. Read off 12 real clips: about 1.35 to 1.55; 1.8 with a lot of hair."""
CHIN_AT_FACE = 1.0
"""The chin's place in the detector's box, from its upper edge, in box heights; read off the same clips."""


def head_box(face: Box, aspect: float) -> Box:
    """Crown to chin with hair, clipped to the picture; `aspect` is the picture's width over its height."""
    head = face.height * HEADS_PER_FACE
    chin = face.y0 + face.height * CHIN_AT_FACE
    half = 0.65 * head / aspect
    middle = face.centre[0]
    return _clipped(middle - half, chin - head, middle + half, chin)


def body_box(face: Box, aspect: float, *, heads: float = 8.0, half_width_heads: float = 1.6) -> Box:
    """Chin to `heads` head heights below the crown, wide enough for arms in front of or beside the trunk."""
    head = face.height * HEADS_PER_FACE
    chin = face.y0 + face.height * CHIN_AT_FACE
    half = half_width_heads * head / aspect
    middle = face.centre[0]
    return _clipped(middle - half, chin, middle + half, chin + (heads - 1.0) * head)


def visible_heads(face: Box) -> float:
    """How far below the crown the picture ends, in head heights: at most 8, where the soles are."""
    head = face.height * HEADS_PER_FACE
    crown = face.y0 + face.height * CHIN_AT_FACE - head
    return min(8.0, (1.0 - crown) / head)


def main_track(tracks: tuple[FaceTrack, ...]) -> FaceTrack | None:
    """The face that covers most of the picture for most of the time: a large false face on one keyframe is
    not the main person.
    """
    return max(tracks, key=lambda track: track.mean_area * len(track.faces), default=None)


def _clipped(x0: float, y0: float, x1: float, y1: float) -> Box:
    x0, x1 = (min(max(x, 0.0), 1.0) for x in (x0, x1))
    y0, y1 = (min(max(y, 0.0), 1.0) for y in (y0, y1))
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)
