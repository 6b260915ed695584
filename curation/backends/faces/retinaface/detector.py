"""The face detector on RetinaFace's network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from curation.backends.batches import Batched
from curation.backends.faces.retinaface.anchors import decode_boxes, decode_landmarks, make_anchors
from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.faces.retinaface.face_box import brows_to_chin
from curation.backends.faces.retinaface.weights import load_retinaface
from curation.backends.settings import require
from curation.backends.suppression import suppress
from curation.backends.torch_device import torch_device
from curation.clip.observations import Box, FaceBox

Image = npt.NDArray[np.uint8]

CPU_BATCH: Final = 4
"""Pictures whose features the caches of a CPU hold; see `RetinaFaceConfig.batch_size`."""
MOST_CANDIDATES: Final = 5000
"""Boxes of a picture, the most confident ones, that suppression looks at, as in the published code."""


class RetinaFace:
    """Finds faces and landmarks in pictures of any size; those of one size go through the network together."""

    def __init__(self, config: RetinaFaceConfig) -> None:
        """Load the weights.

        Raises:
            ConfigError: they are missing or of another network, or there is no such device.
        """
        require(config)
        self.config = config
        self.device = torch_device(config.device)
        network, self.release = load_retinaface(config.weights, config.release)
        self.network = network.to(self.device)
        self._mean = torch.tensor(self.release.mean, device=self.device)
        self._spread = torch.tensor(self.release.spread, device=self.device)
        self._anchors = lru_cache(maxsize=16)(self._make_anchors)
        size = min(config.batch_size, CPU_BATCH) if self.device.type == "cpu" else config.batch_size
        self._batched = Batched(self.detect_batch, size=size, what="RetinaFace")

    def detect(self, images: Sequence[Image], *, thorough: bool = True) -> list[tuple[FaceBox, ...]]:
        """See `FaceDetector`; confidence is a probability, boxes run from brows to chin as dlib's do.

        `thorough` changes nothing: small faces cost no more than large ones.
        """
        del thorough
        return self._batched(images)

    def detect_batch(self, images: Sequence[Image]) -> list[tuple[FaceBox, ...]]:
        """A batch of any sizes, which the sources of several threads may bring together; for one thread at a time."""
        places: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            places[image.shape].append(place)
        faces: list[tuple[FaceBox, ...]] = [()] * len(images)
        for same_size in places.values():
            found = self._detect_same_size(np.stack([images[place] for place in same_size]))
            for place, seen in zip(same_size, found, strict=True):
                faces[place] = seen
        return faces

    @torch.inference_mode()
    def _detect_same_size(self, images: Image) -> list[tuple[FaceBox, ...]]:
        """`(B, H, W, 3)` BGR → the faces of each picture."""
        height, width = images.shape[1:3]
        pictures = torch.from_numpy(images).to(self.device).float()
        if self.release.is_rgb:
            pictures = pictures.flip(-1)
        pictures = ((pictures - self._mean) / self._spread).permute(0, 3, 1, 2).contiguous()
        logits, boxes, landmarks = self.network(pictures)
        confidences = logits.softmax(-1)[..., 1]
        # Few anchors see a face: only theirs leave the device.
        picture, anchor = torch.nonzero(confidences >= self.config.min_confidence, as_tuple=True)
        chosen = [values[picture, anchor].float().cpu().numpy() for values in (confidences, boxes, landmarks)]
        confidence, box, points = chosen
        anchors = self._anchors(height, width)[anchor.cpu().numpy()]
        corners, points = decode_boxes(anchors, box), decode_landmarks(anchors, points)
        pictures_of = picture.cpu().numpy()
        faces = []
        for index in range(len(images)):
            own = np.flatnonzero(pictures_of == index)
            own = own[np.argsort(-confidence[own], kind="stable")[:MOST_CANDIDATES]]
            own = own[suppress(corners[own], confidence[own], self.config.nms_iou)]
            size = np.array([width, height], np.float64)
            faces.append(tuple(_face(corners[i], points[i], float(confidence[i]), size) for i in own))
        return faces

    def _make_anchors(self, height: int, width: int) -> npt.NDArray[np.float32]:
        return make_anchors(height, width, self.release.anchors_px)


def _face(
    corners: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
    confidence: float,
    size: npt.NDArray[np.float64],
) -> FaceBox:
    """One face in fractions of the picture."""
    x0, y0, x1, y1 = (brows_to_chin(corners, points).reshape(2, 2) / size).ravel().tolist()
    return FaceBox(
        box=Box(x0=x0, y0=y0, x1=x1, y1=y1),
        confidence=confidence,
        landmarks=tuple((float(x), float(y)) for x, y in points / size),
    )
