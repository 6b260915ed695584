from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from bench.metrics.syncnet.track import Track, TrackConfig, crop, follow_faces, iou, steady

Boxes = npt.NDArray[np.float64]
SHORT = TrackConfig(min_frames=3, min_face_px=10)


def box(x: float, y: float, side: float = 100.0) -> Boxes:
    return np.array([x, y, x + side, y + side])


def test_a_gap_is_filled_in_linearly() -> None:
    moving = [[box(1.5 * frame, 50)] for frame in range(60)]
    for frame in range(20, 40):
        moving[frame] = []
    (track,) = follow_faces(moving, SHORT)
    assert track.first_frame == 0
    assert np.allclose(track.boxes, [box(1.5 * frame, 50) for frame in range(60)])


@pytest.mark.parametrize(("gap", "tracks"), [(24, 1), (25, 2)])
def test_a_track_ends_when_more_than_25_frames_pass(gap: int, tracks: int) -> None:
    seen = [[box(0, 0)]] * 10 + [[]] * gap + [[box(0, 0)]] * 10
    assert len(follow_faces([list(boxes) for boxes in seen], SHORT)) == tracks


def test_two_faces_are_two_tracks_whatever_their_order() -> None:
    frames = [[box(0, 0), box(300, 0)] if frame % 2 else [box(300, 0), box(0, 0)] for frame in range(20)]
    tracks = follow_faces(frames, SHORT)
    assert sorted(float(track.boxes[:, 0].mean()) for track in tracks) == [0, 300]
    assert all(len(track.boxes) == 20 and np.ptp(track.boxes[:, 0]) == 0 for track in tracks)


def test_a_jump_of_half_a_face_ends_a_track_and_small_or_short_ones_are_dropped() -> None:
    assert iou(box(0, 0), box(50, 0)) == pytest.approx(1 / 3)
    frames = [[box(0, 0)] for _ in range(10)] + [[box(50, 0)] for _ in range(10)]
    assert [track.first_frame for track in follow_faces(frames, SHORT)] == [0, 10]
    assert follow_faces([[box(0, 0)]] * 10, TrackConfig(min_frames=10)) == []
    assert follow_faces([[box(0, 0, 100)]] * 10, TrackConfig(min_frames=9)) == []
    assert len(follow_faces([[box(0, 0, 101)]] * 10, TrackConfig(min_frames=9))) == 1


def test_boxes_are_median_filtered_over_13_with_zeros_beyond_the_ends() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(50, 90, (30, 2))], 1)
    smooth = steady(Track(first_frame=0, boxes=boxes), 13)
    for column, values in enumerate(
        [
            boxes[:, [0, 2]].mean(1),
            boxes[:, [1, 3]].mean(1),
            np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2,
        ]
    ):
        padded = np.concatenate([np.zeros(6), values, np.zeros(6)])
        slow = [float(np.sort(padded[index : index + 13])[6]) for index in range(30)]
        assert np.allclose(smooth[:, column], slow)


@pytest.mark.parametrize(("x", "y", "half"), [(160.0, 120.0, 40.0), (10.0, 15.5, 30.25), (310.0, 235.0, 50.0)])
def test_the_crop_is_the_published_rectangle(x: float, y: float, half: float) -> None:
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    pad = int(1.8 * half)
    top, bottom = int(y + pad - half) - pad, int(y + pad + 1.8 * half) - pad
    left, right = int(x + pad - 1.4 * half) - pad, int(x + pad + 1.4 * half) - pad
    rectangle = np.full((bottom - top, right - left, 3), 110, np.uint8)
    for row in range(top, bottom):
        for column in range(left, right):
            if 0 <= row < 240 and 0 <= column < 320:
                rectangle[row - top, column - left] = image[row, column]
    assert np.array_equal(crop(image, x, y, half), cv2.resize(rectangle, (224, 224)))
