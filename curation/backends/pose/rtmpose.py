"""RTMPose: the joints of one person in a crop around them (Jiang et al., 2023; MMPose's export), for everyone on the
keyframes of a clip.

Checked once against MMPose 1.3.2 with random weights and 18 boxes on six keyframes: joints differ by at most 2e-5
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.batches import Batched
from curation.backends.faces.figure import body_box, head_box
from curation.backends.pose.estimator import TrackedPerson
from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.network import PictureNetwork
from curation.backends.pose.people_of_clip import people_of_clip
from curation.backends.pose.rtm_config import RtmPoseConfig
from curation.backends.pose.rtmo import RtmoNetwork
from curation.backends.pose.simcc import decode_simcc
from curation.backends.pose.tracking import FoundTrack, follow
from curation.backends.pose.window import around_person
from curation.backends.settings import require
from curation.clip.observations import Box
from curation.clip.schema import Clip

Image = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]

PADDING: Final = 1.25
"""Room around a person's box, as in RTMPose's training."""
MEAN: Final = np.array([123.675, 116.28, 103.53], np.float32)
STD: Final = np.array([58.395, 57.12, 57.375], np.float32)
"""Of ImageNet, red first, over values from 0 to 255: MMPose turns BGR into RGB before its networks."""
OUTPUTS: Final = {"simcc_x": ("B", 17, "2W"), "simcc_y": ("B", 17, "2H")}


class RtmPoseNetwork:
    """The network with its crops and batches; safe to call from several threads."""

    def __init__(self, config: RtmPoseConfig) -> None:
        require(config)
        self.network = PictureNetwork(
            config.weights, kind="an RTMPose network", outputs=OUTPUTS, device=config.device, threads=config.threads
        )
        self.batched = Batched(self._joints, size=config.batch_size, what="RTMPose")

    def __call__(self, people: Sequence[tuple[Image, Float]]) -> list[tuple[Float, Float]]:
        """The joints of each person.

        Args:
            people: a BGR picture `(H, W, 3)` and the person's box on it: x0, y0, x1, y1 in pixels.

        Returns:
            For each person `(17, 2)` x, y in pixels of the picture and `(17,)` scores, not bounded by 1.
        """
        return self.batched(people)

    def _joints(self, people: Sequence[tuple[Image, Float]]) -> list[tuple[Float, Float]]:
        size = self.network.width, self.network.height
        windows = [around_person(box, size, PADDING) for _, box in people]
        inputs = [
            ((window.cut(picture, 0)[:, :, ::-1] - MEAN) / STD).transpose(2, 0, 1)
            for window, (picture, _) in zip(windows, people, strict=True)
        ]
        simcc_x, simcc_y = (np.stack(rows) for rows in zip(*self.network(inputs), strict=True))
        places, scores = decode_simcc(simcc_x, simcc_y)
        return [(window.to_picture(place), score) for window, place, score in zip(windows, places, scores, strict=True)]


class RtmPose:
    """People of a clip whom RTMO or the clip's faces show, with joints by RTMPose."""

    def __init__(self, config: RtmPoseConfig) -> None:
        self.config = config
        self.network = RtmPoseNetwork(config)
        self.finder = RtmoNetwork(config.rtmo) if config.people == "rtmo" else None

    def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
        """Everyone who was seen; the main person first."""
        pictures = [keyframe.image() for keyframe in clip.keyframes]
        tracks = self._by_faces(clip, pictures) if self.finder is None else self._by_rtmo(pictures, self.finder)
        return people_of_clip(clip, pictures, tracks, self.config.min_joint_confidence)

    def _by_rtmo(self, pictures: Sequence[Image], finder: RtmoNetwork) -> list[FoundTrack]:
        """The people whom RTMO finds, followed by their joints of RTMPose."""
        found = finder(pictures)
        people = [(index, person.box) for index, each in enumerate(found) for person in each]
        joints = self.network([(pictures[index], box) for index, box in people])
        by_picture: list[list[FoundPerson]] = [[] for _ in pictures]
        for (index, box), (places, scores) in zip(people, joints, strict=True):
            by_picture[index].append(FoundPerson(box=box, joints=places, scores=scores))
        return follow(by_picture, self.config.min_joint_confidence)

    def _by_faces(self, clip: Clip, pictures: Sequence[Image]) -> list[FoundTrack]:
        """One person for each face track, which says who is who."""
        index_of = {keyframe.time_s: index for index, keyframe in enumerate(clip.keyframes)}
        seen = [
            (number, index_of[time_s], face.box)
            for number, track in enumerate(clip.tracks)
            for time_s, face in zip(track.times_s, track.faces, strict=True)
        ]
        boxes = [_person_below(face, pictures[index]) for _, index, face in seen]
        joints = self.network([(pictures[index], box) for (_, index, _), box in zip(seen, boxes, strict=True)])
        tracks: list[FoundTrack] = [[] for _ in clip.tracks]
        for (number, index, _), box, (places, scores) in zip(seen, boxes, joints, strict=True):
            tracks[number].append((index, FoundPerson(box=box, joints=places, scores=scores)))
        return tracks


def _person_below(face: Box, picture: Image) -> Float:
    """Where the person of a face is on the picture: the figure of eight heads, x0, y0, x1, y1 in pixels."""
    height, width = picture.shape[:2]
    head, body = head_box(face, width / height), body_box(face, width / height)
    box = min(head.x0, body.x0), head.y0, max(head.x1, body.x1), max(head.y1, body.y1)
    return np.array(box) * (width, height, width, height)
