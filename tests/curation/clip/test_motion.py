"""Motion is kept among a clip's scores and read back whole or not at all."""

from __future__ import annotations

from curation.clip.motion import CameraMotion, SubjectMotion
from tests.worlds.synthetic_run import clip, source

CAMERA = CameraMotion(
    pan_per_s=0.1, tilt_per_s=0.0, zoom_per_s=-0.2, roll_deg_per_s=1.0, speed_per_s=0.3, shake_per_s=0.0
)
MADE = clip(source("/in/a.mp4", 1280, 720, 15.0), 0)


def test_what_is_stored_is_read_back() -> None:
    assert set(CAMERA.scores()) == set(CameraMotion.unknown())
    assert all(name.startswith("camera_") for name in CAMERA.scores())
    assert CameraMotion.of(MADE.with_scores(**CAMERA.scores())) == CAMERA


def test_motion_without_one_number_is_unknown() -> None:
    measured = MADE.with_scores(**CAMERA.scores())
    assert CameraMotion.of(MADE) is None
    assert CameraMotion.of(measured.with_scores(camera_shake_per_s=None)) is None
    assert CameraMotion.of(MADE.with_scores(**CameraMotion.unknown())) is None
    assert SubjectMotion.of(measured) is None
