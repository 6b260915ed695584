"""Square crops that follow one face at a constant frame rate: the input of lip measures (SyncNet's track)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, median_filter

from curation.clip.crop import outer_box
from curation.clip.observations import FaceTrack
from curation.clip.schema import Clip
from curation.media import sample_frames

SMOOTHING_FRAMES = 5.0
"""Standard deviation of the box smoothing. Detector boxes jump in steps of about a tenth of the face. A head does not
move much faster than in 5 frames (0.2 s at 25 fps)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceCrops:
    """One face through a clip."""

    images: npt.NDArray[np.uint8]
    """`(N, size, size, 3)` BGR; the face box is `size / margin` pixels wide, and centred unless asked otherwise."""
    first_frame: int
    """Index of `images[0]` among the clip's frames at this rate: a face may come in late."""
    damaged: npt.NDArray[np.bool_]
    """`(N,)`: the decoder had to invent part of the frame."""


def crop_face(
    clip: Clip,
    track: FaceTrack,
    *,
    fps: float,
    size: int,
    margin: float,
    lower: float = 0.0,
    border: int | None = None,
) -> FaceCrops:
    """Follow `track` through the span of `clip`, decoding only that span and cropping early.

    The frames reach half a second beyond the track's first and last keyframe (keyframes are that far
    apart). The picture is decoded at the scale at which the face has its final size, never enlarged.

    Args:
        clip: the span and where it lies.
        track: the face, as the clip gives it.
        fps: crops a second.
        size: side of a crop in pixels.
        margin: side of a crop over the side of the face.
        lower: how far below the face's middle that of the crop lies, in sides of the face.
        border: grey level outside the picture; None repeats the picture's edge.

    Raises:
        MediaError: the span cannot be decoded.
    """
    first, stop = track_frames(clip, track, fps)
    info = clip.media.info
    centres_x, centres_y, sides = smooth_boxes(
        track_in_picture(clip, track), clip.start_s + np.arange(first, stop) / fps, info.width, info.height
    )
    face_px = size / margin
    short_edge = math.ceil(info.short_edge * min(1.0, face_px / float(np.median(sides))))
    images = np.empty((stop - first, size, size, 3), np.uint8)
    damaged = np.zeros(stop - first, np.bool_)
    frames = sample_frames(
        clip.media.path, clip.start_s + first / fps, clip.start_s + stop / fps, fps=fps, short_edge=short_edge
    )
    for index, frame in enumerate(frames):
        scale = min(frame.image.shape[:2]) / info.short_edge
        step = sides[index] * scale * margin / size
        middle = np.array([centres_x[index], centres_y[index] + lower * sides[index]])
        corner = middle * scale - step * (size - 1) / 2
        transform = np.array([[step, 0.0, corner[0]], [0.0, step, corner[1]]])
        images[index] = cv2.warpAffine(
            frame.image,
            transform,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
            borderValue=(border or 0,) * 3,
        )
        damaged[index] = frame.damaged
    return FaceCrops(images=images, first_frame=first, damaged=damaged)


def track_in_picture(clip: Clip, track: FaceTrack) -> FaceTrack:
    """`track` in fractions of the displayed picture; a cropped clip gives it in fractions of its crop."""
    crop = clip.crop
    if crop is None:
        return track
    faces = tuple(
        replace(
            face,
            box=outer_box(face.box, crop),
            landmarks=tuple((crop.x0 + x * crop.width, crop.y0 + y * crop.height) for x, y in face.landmarks),
        )
        for face in track.faces
    )
    return replace(track, faces=faces)


def track_frames(clip: Clip, track: FaceTrack, fps: float, reach_s: float = 0.5) -> tuple[int, int]:
    """First frame and one past the last frame, at `fps` within `clip`, on which `track` is seen."""
    total = math.floor(clip.duration_s * fps + 1e-6)
    first = math.ceil((track.times_s[0] - reach_s - clip.start_s) * fps - 1e-6)
    last = math.floor((track.times_s[-1] + reach_s - clip.start_s) * fps + 1e-6)
    first = min(max(first, 0), total - 1)
    return first, max(min(last + 1, total), first + 1)


def smooth_boxes(
    track: FaceTrack, times_s: npt.NDArray[np.float64], width: int, height: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centre x, centre y and side in display pixels at `times_s`, each `(len(times_s),)`.

    Keyframe boxes are median-filtered, interpolated linearly and smoothed, as SyncNet's tracks are.
    """

    def follow(values: list[float]) -> npt.NDArray[np.float64]:
        steady = median_filter(np.array(values), 3, mode="nearest")
        dense = np.interp(times_s, track.times_s, steady)
        return np.asarray(gaussian_filter1d(dense, SMOOTHING_FRAMES, mode="nearest"), np.float64)

    boxes = [face.box for face in track.faces]
    centres_x = follow([box.centre[0] * width for box in boxes])
    centres_y = follow([box.centre[1] * height for box in boxes])
    sides = follow([max(box.width * width, box.height * height) for box in boxes])
    return centres_x, centres_y, np.maximum(sides, 1.0)
