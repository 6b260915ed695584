"""Naming measured motion: how a camera movement and a direction are told from numbers."""

from __future__ import annotations

import math

from curation.clip.caption import CameraMovement, MovementDirection
from curation.clip.motion import CameraMotion, SubjectMotion

STILL_SPEED_PER_S = 0.003
"""Diagonals per second. Measured on 35 real shots: fixed cameras 0 to 0.002, hand-held ones from 0.005."""
MOVING_SPEED_PER_S = 0.01
"""Diagonals per second, 5 % of the picture in a 5 s clip; a camera between the two speeds gets no name."""
DOMINANT_SHARE = 0.5
"""A movement is named when it makes up at least this share of all that the camera does."""
HANDHELD_SHAKE_PER_S = 0.01
"""Diagonals per second; the unsteady camera of the labelled clips has 0.014 to 0.03, steady ones up to
0.005."""
RADIUS = 0.4
"""Mean distance of the corners and centre from the centre, in diagonals: how far a unit of scale or turn moves them."""

STILL_TRAVEL_HEADS = 0.5
"""Head heights; seated talkers of the labelled clips sway by up to 0.44."""
MOVING_TRAVEL_HEADS = 1.0
"""Head heights, about 0.23 m: more than swaying."""
MOVING_PER_S = 0.03
"""Pictures per second."""
APPROACH_PER_S = 0.1
"""Logarithm of the face's size per second: two thirds larger after 5 s. dlib's boxes come in steps of 0.18, so a
smaller change can be a single step."""
STILL_SCALE_PER_S = 0.05
MIN_COVERAGE = 0.5
"""Share of the keyframes on which the face must have been followed."""


def camera_movement(camera: CameraMotion | None, aspect: float) -> CameraMovement:
    """The name of what the camera mostly does, `NONE` where nothing stands out or nothing is known.

    `aspect` is the picture's width over its height.
    """
    if camera is None:
        return CameraMovement.NONE
    if camera.speed_per_s < STILL_SPEED_PER_S:
        return CameraMovement.STATIC
    if camera.speed_per_s < MOVING_SPEED_PER_S:
        return CameraMovement.NONE
    width, height = aspect / (1 + aspect**2) ** 0.5, 1 / (1 + aspect**2) ** 0.5
    parts = {
        CameraMovement.PAN_RIGHT: camera.pan_per_s * width,
        CameraMovement.PAN_LEFT: -camera.pan_per_s * width,
        CameraMovement.TILT_UP: camera.tilt_per_s * height,
        CameraMovement.TILT_DOWN: -camera.tilt_per_s * height,
        CameraMovement.ZOOM_IN: camera.zoom_per_s * RADIUS,
        CameraMovement.ZOOM_OUT: -camera.zoom_per_s * RADIUS,
        CameraMovement.ROLL: math.radians(abs(camera.roll_deg_per_s)) * RADIUS,
    }
    movement = max(parts, key=lambda name: parts[name])
    if parts[movement] >= DOMINANT_SHARE * camera.speed_per_s:
        return movement
    return CameraMovement.HANDHELD if camera.shake_per_s >= HANDHELD_SHAKE_PER_S else CameraMovement.NONE


def movement_direction(subject: SubjectMotion | None, aspect: float) -> MovementDirection:
    """Where the main face goes, camera motion taken out; `NONE` where it is not followed or unclear."""
    if subject is None or subject.coverage < MIN_COVERAGE:
        return MovementDirection.NONE
    if abs(subject.scale_per_s) >= APPROACH_PER_S:
        towards = subject.scale_per_s > 0
        return MovementDirection.TOWARDS_CAMERA if towards else MovementDirection.AWAY_FROM_CAMERA
    if subject.travel_heads < STILL_TRAVEL_HEADS and abs(subject.scale_per_s) < STILL_SCALE_PER_S:
        return MovementDirection.STILL
    across, down = subject.dx_per_s * aspect, subject.dy_per_s
    fast = abs(subject.dx_per_s if abs(across) >= abs(down) else subject.dy_per_s) >= MOVING_PER_S
    if subject.travel_heads < MOVING_TRAVEL_HEADS or not fast:
        return MovementDirection.NONE
    if abs(across) >= abs(down):
        return MovementDirection.RIGHT if across > 0 else MovementDirection.LEFT
    return MovementDirection.DOWN if down > 0 else MovementDirection.UP
