"""People from their faces alone, by the figure of eight heads; no keypoints and no weights."""

from __future__ import annotations

from curation.backends.faces.figure import body_box, head_box, visible_heads
from curation.backends.pose.estimator import Pose, TrackedPerson
from curation.clip.observations import Box, FaceBox
from curation.clip.schema import Clip


class FaceGeometry:
    """A person for each face track."""

    def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
        """One person for each face track."""
        aspect = clip.width / clip.height
        return tuple(
            TrackedPerson(times_s=track.times_s, poses=tuple(_pose(face, aspect) for face in track.faces))
            for track in clip.tracks
        )


def _pose(face: FaceBox, aspect: float) -> Pose:
    head, body = head_box(face.box, aspect), body_box(face.box, aspect)
    return Pose(
        box=Box(x0=min(head.x0, body.x0), y0=head.y0, x1=max(head.x1, body.x1), y1=max(head.y1, body.y1)),
        head=head,
        visible_heads=visible_heads(face.box),
    )
