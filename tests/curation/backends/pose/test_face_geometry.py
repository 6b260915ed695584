"""The person of a face, checked on a photograph."""

from __future__ import annotations

import pytest
import skimage.data

from curation.backends.faces.figure import head_box
from curation.backends.pose.face_geometry import FaceGeometry
from tests.worlds.people_clips import detect_faces, make_clip, make_track


def test_a_photograph_of_a_head_and_shoulders() -> None:
    """skimage's astronaut: the picture ends at the waist."""
    image = skimage.data.astronaut()[:, :, ::-1].copy()
    faces = detect_faces(image)
    head = head_box(faces[0].box, 1.0)
    # Read off the picture: much hair from row 16 on, chin at row 177 of 512.
    assert head.y0 * 512 == pytest.approx(16, abs=20)
    assert head.y1 * 512 == pytest.approx(177, abs=20)
    clip = make_clip([image], (make_track([faces[0].box]),))
    (person,) = FaceGeometry().people(clip)
    assert person.times_s == (0.0,)
    assert person.poses[0].head == head
    assert 2.0 < person.poses[0].visible_heads < 4.0
    assert person.poses[0].keypoints == ()
    assert person.poses[0].box.y1 == 1.0
