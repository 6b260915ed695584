"""A clip of a part of another clip's picture, with all measurements so far in the part's own coordinates."""

from __future__ import annotations

from dataclasses import replace

import cv2

from curation.clip.observations import Box, FaceBox, FaceTrack, Keyframe
from curation.clip.people import ClipPerson, Hands, Keypoint
from curation.clip.schema import Clip

JPEG_QUALITY = 90
"""The quality with which the scene pass writes keyframes."""


def crop_clip(clip: Clip, crop: Box, key: str) -> Clip:
    """The part `crop` (fractions of `clip`'s picture) of `clip`, as a clip of its own whose parent is `clip`.

    Keyframes are cropped, and faces and people are given in the crop's fractions; those whose middle is outside are
    left out. Frame statistics and scores stay those of the whole picture.
    """
    tracks = [part for track in clip.tracks if (part := _crop_track(track, crop)) is not None]
    return replace(
        clip,
        key=key,
        parent_key=clip.key,
        crop=crop if clip.crop is None else outer_box(crop, clip.crop),
        keyframes=tuple(_crop_keyframe(keyframe, crop) for keyframe in clip.keyframes),
        tracks=tuple(sorted(tracks, key=lambda track: track.mean_area, reverse=True)),
        people=tuple(inside for person in clip.people if (inside := _crop_person(person, crop)) is not None),
    )


def inner_box(box: Box, crop: Box) -> Box:
    """`box` in fractions of `crop`, both in fractions of the same picture; clipped to the crop."""
    x0, x1 = (min(max((x - crop.x0) / crop.width, 0.0), 1.0) for x in (box.x0, box.x1))
    y0, y1 = (min(max((y - crop.y0) / crop.height, 0.0), 1.0) for y in (box.y0, box.y1))
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def outer_box(box: Box, crop: Box) -> Box:
    """`box`, in fractions of `crop`, in fractions of the picture that `crop` is a part of."""
    return Box(
        x0=crop.x0 + box.x0 * crop.width,
        y0=crop.y0 + box.y0 * crop.height,
        x1=crop.x0 + box.x1 * crop.width,
        y1=crop.y0 + box.y1 * crop.height,
    )


def _inside(box: Box, crop: Box) -> bool:
    x, y = box.centre
    return crop.x0 <= x <= crop.x1 and crop.y0 <= y <= crop.y1


def _crop_face(face: FaceBox, crop: Box) -> FaceBox:
    landmarks = tuple(((x - crop.x0) / crop.width, (y - crop.y0) / crop.height) for x, y in face.landmarks)
    return replace(face, box=inner_box(face.box, crop), landmarks=landmarks)


def _crop_track(track: FaceTrack, crop: Box) -> FaceTrack | None:
    seen = [pair for pair in zip(track.times_s, track.faces, strict=True) if _inside(pair[1].box, crop)]
    if not seen:
        return None
    return FaceTrack(
        times_s=tuple(time_s for time_s, _ in seen), faces=tuple(_crop_face(face, crop) for _, face in seen)
    )


def _crop_person(person: ClipPerson, crop: Box) -> ClipPerson | None:
    seen = [index for index, box in enumerate(person.boxes) if _inside(box, crop)]
    if not seen:
        return None
    return ClipPerson(
        times_s=tuple(person.times_s[index] for index in seen),
        boxes=tuple(inner_box(person.boxes[index], crop) for index in seen),
        keypoints=tuple(
            tuple(_crop_keypoint(keypoint, crop) for keypoint in person.keypoints[index]) for index in seen
        ),
        hands=tuple(
            Hands(left=_crop_hand(person.hands[index].left, crop), right=_crop_hand(person.hands[index].right, crop))
            for index in seen
        ),
    )


def _crop_keypoint(keypoint: Keypoint, crop: Box) -> Keypoint:
    x, y = (keypoint.x - crop.x0) / crop.width, (keypoint.y - crop.y0) / crop.height
    return Keypoint(x, y, keypoint.confidence, keypoint.seen and 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0)


def _crop_hand(hand: Box | None, crop: Box) -> Box | None:
    return inner_box(hand, crop) if hand is not None and _inside(hand, crop) else None


def _crop_keyframe(keyframe: Keyframe, crop: Box) -> Keyframe:
    image = keyframe.image()
    x0, y0, x1, y1 = crop.pixels(image.shape[1], image.shape[0])
    encoded, jpeg = cv2.imencode(".jpg", image[y0:y1, x0:x1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert encoded, "a crop that is kept is hundreds of pixels wide"
    return Keyframe(
        time_s=keyframe.time_s,
        jpeg=jpeg.tobytes(),
        faces=tuple(_crop_face(face, crop) for face in keyframe.faces if _inside(face.box, crop)),
    )
