"""The reference image of a sample."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from bench.metrics.metric import NoValueError, VideoInput


def reference_image(video: VideoInput) -> npt.NDArray[np.uint8]:
    """`(H, W, 3)` BGR.

    Raises:
        NoValueError: the sample has none, or it cannot be read.
    """
    if video.sample.image is None:
        raise NoValueError("no reference image")
    try:
        image = cv2.imread(str(video.sample.image))
    except cv2.error:  # the picture has more pixels than OpenCV reads
        image = None
    if image is None:
        raise NoValueError("unreadable reference image")
    return np.asarray(image, np.uint8)
