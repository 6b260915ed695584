"""How each take of the sample bucket is staged: picture, camera, speaker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from curation.sample.face import NECK, TalkingFace, portrait
from curation.sample.figure import add_person
from curation.sample.scenery import landscape, room, street
from curation.sample.shot import Camera, Performer, film
from curation.sample.speech import Speech, silence

Image = npt.NDArray[np.uint8]

PAN_PER_FRAME = 2
"""Pixels; whole ones need no resampling, which would cost as much as encoding."""


def portrait_take(
    speech: Speech,
    duration_s: float,
    *,
    fps: int = 25,
    size: tuple[int, int] = (720, 720),
    start_s: float = 0.0,
    liveliness: float = 1.0,
) -> Iterator[Image]:
    """Head and shoulders before the photograph's own background, the camera still."""
    width, height = size
    scale = max(2.75 * width / 1280, height / 512, 2.75 * height / 720 if width >= height else 0.0)
    canvas = portrait(scale)
    left = int(np.clip(NECK[0] * scale - width / 2, 0, canvas.shape[1] - width))
    face = TalkingFace(canvas, (0.0, 0.0), scale)
    performer = Performer(face=face, speech=speech, seed=1, liveliness=liveliness)
    camera = Camera.still(width, height, left)
    return film(canvas, camera, (performer,), duration_s=duration_s, fps=fps, start_s=start_s)


def pan_take(speech: Speech, duration_s: float) -> Iterator[Image]:
    """Upper body in a room, 1280 × 720; the camera pans to the right, 50 pixels a second."""
    distance = PAN_PER_FRAME * round(25 * duration_s)
    canvas = room(1280 + distance, 720, seed=3)
    face = add_person(canvas, (480, 0), 1.45)
    camera = Camera(size=(1280, 720), start=(0, 0, 1280), end=(distance, 0, 1280))
    performer = Performer(face=face, speech=speech, seed=2)
    return film(canvas, camera, (performer,), duration_s=duration_s, fps=25)


def zoom_take(speech: Speech, duration_s: float, *, fps: int = 24) -> Iterator[Image]:
    """Upper body in a room, 1280 × 720; the camera zooms in by a third."""
    canvas = room(1600, 900, seed=12)
    face = add_person(canvas, (470, 110), 1.55)
    camera = Camera(size=(1280, 720), start=(0, 0, 1600), end=(200, 70, 1200))
    performer = Performer(face=face, speech=speech, seed=3)
    return film(canvas, camera, (performer,), duration_s=duration_s, fps=fps)


def room_take(speech: Speech, duration_s: float, *, fps: int = 25) -> Iterator[Image]:
    """Upper body in a room, 1280 × 720, the camera still."""
    canvas = room(1280, 720, seed=21)
    performer = Performer(face=add_person(canvas, (305, -4), 1.42), speech=speech, seed=4)
    return film(canvas, Camera.still(1280, 720), (performer,), duration_s=duration_s, fps=fps)


def street_take(speech: Speech, duration_s: float) -> Iterator[Image]:
    """Upper body before a shop whose sign moves through the picture as the camera pans, 1280 × 720."""
    distance = PAN_PER_FRAME * round(25 * duration_s)
    canvas = street(1280 + distance, 720, sign="CORNER BAKERY", sign_x=960, seed=2)
    face = add_person(canvas, (330, 0), 1.42)
    camera = Camera(size=(1280, 720), start=(0, 0, 1280), end=(distance, 0, 1280))
    return film(canvas, camera, (Performer(face=face, speech=speech, seed=5),), duration_s=duration_s, fps=25)


def two_people_take(speech: Speech, duration_s: float) -> Iterator[Image]:
    """Two upper bodies in a room, 1280 × 720; the nearer one, on the left, speaks."""
    canvas = room(1280, 720, seed=8)
    speaker = add_person(canvas, (-40, 40), 1.33)
    listener = add_person(canvas, (655, 100), 1.21, hue_shift=100)
    performers = (
        Performer(face=speaker, speech=speech, seed=6),
        Performer(face=listener, speech=silence(duration_s), seed=7),
    )
    return film(canvas, Camera.still(1280, 720), performers, duration_s=duration_s, fps=25)


def full_body_take(speech: Speech, duration_s: float) -> Iterator[Image]:
    """Head to boots outdoors, 1080 × 1920; the face is 1 in 18 of the height."""
    canvas = landscape(1080, 1920, seed=11)
    face = add_person(canvas, (240, 330), 1.2, standing=True)
    performer = Performer(face=face, speech=speech, seed=8)
    return film(canvas, Camera.still(1080, 1920), (performer,), duration_s=duration_s, fps=25)


def scenery_take(duration_s: float, *, fps: int = 25) -> Iterator[Image]:
    """Hills and clouds, 1280 × 720; the camera pans to the left."""
    distance = PAN_PER_FRAME * round(fps * duration_s)
    canvas = landscape(1280 + distance, 720, seed=4)
    camera = Camera(size=(1280, 720), start=(distance, 0, 1280), end=(0, 0, 1280))
    return film(canvas, camera, (), duration_s=duration_s, fps=fps)


def close_up_take(speech: Speech, duration_s: float, *, fps: int, start_s: float) -> Iterator[Image]:
    """Head and shoulders, 1280 × 720, nearer than any other take."""
    canvas = portrait(2.9)
    performer = Performer(face=TalkingFace(canvas, (0.0, 0.0), 2.9), speech=speech, seed=9)
    return film(canvas, Camera.still(1280, 720, 20), (performer,), duration_s=duration_s, fps=fps, start_s=start_s)


def black_take(duration_s: float) -> Iterator[Image]:
    """Black frames, 1280 × 720."""
    for _ in range(round(duration_s * 25)):
        yield np.zeros((720, 1280, 3), np.uint8)
