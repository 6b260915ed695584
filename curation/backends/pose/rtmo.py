"""RTMO: one network finds people and their joints in the whole picture (Lu et al., CVPR 2024; MMPose's export).

Checked once against MMPose 1.3.2 with random weights and three keyframes. The letterbox differs by at most 2 of 255. Of
the same raw outputs both make the same people, with joints within 1e-11 pixels: 2,048 of 2,055; the other seven are
among hundreds whose score is 1 but for rounding, where it is open which of two that overlap stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.batches import Batched
from curation.backends.pose.estimator import TrackedPerson
from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.network import PictureNetwork
from curation.backends.pose.people_of_clip import people_of_clip
from curation.backends.pose.rtm_config import RtmoConfig
from curation.backends.pose.tracking import follow
from curation.backends.pose.window import Window, whole_picture
from curation.backends.settings import require
from curation.backends.suppression import suppress
from curation.clip.schema import Clip

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

BAR: Final = 114
"""Brightness of the bars beside the picture, as in RTMO's training."""
OUTPUTS: Final = {"dets": ("B", "people", 5), "keypoints": ("B", "people", 17, 3)}


class RtmoNetwork:
    """The network with its letterbox, batches and suppression of doubles; safe to call from several threads."""

    def __init__(self, config: RtmoConfig) -> None:
        require(config)
        self.config = config
        self.network = PictureNetwork(
            config.weights, kind="an RTMO network", outputs=OUTPUTS, device=config.device, threads=config.threads
        )
        self.batched = Batched(self._find, size=config.batch_size, what="RTMO")

    def __call__(self, pictures: Sequence[Image]) -> list[tuple[FoundPerson, ...]]:
        """The people on each BGR picture `(H, W, 3)`, the most certain first; sizes may differ."""
        return self.batched(pictures)

    def _find(self, pictures: Sequence[Image]) -> list[tuple[FoundPerson, ...]]:
        windows = [whole_picture(picture, (self.network.width, self.network.height)) for picture in pictures]
        # BGR in 0 to 255: RTMO was trained without normalisation.
        inputs = [
            window.cut(picture, BAR).transpose(2, 0, 1).astype(np.float32)
            for window, picture in zip(windows, pictures, strict=True)
        ]
        return [
            self._people(window, dets, keypoints)
            for window, (dets, keypoints) in zip(windows, self.network(inputs), strict=True)
        ]

    def _people(self, window: Window, dets: Array, keypoints: Array) -> tuple[FoundPerson, ...]:
        """The people of one picture, from the network's `(N, 5)` boxes with scores and `(N, 17, 3)` joints."""
        sure = np.flatnonzero(dets[:, 4] >= self.config.min_person_confidence)
        kept = sure[suppress(dets[sure, :4], dets[sure, 4], self.config.max_overlap)]
        return tuple(
            FoundPerson(
                box=window.to_picture(dets[index, :4].reshape(2, 2)).reshape(4),
                joints=window.to_picture(keypoints[index, :, :2]),
                scores=keypoints[index, :, 2].astype(np.float64),
            )
            for index in kept
        )


class Rtmo:
    """People of a clip by RTMO alone."""

    def __init__(self, config: RtmoConfig) -> None:
        self.config = config
        self.network = RtmoNetwork(config)

    def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
        """Everyone who was seen; the main person first."""
        pictures = [keyframe.image() for keyframe in clip.keyframes]
        tracks = follow(self.network(pictures), self.config.min_joint_confidence)
        return people_of_clip(clip, pictures, tracks, self.config.min_joint_confidence)
