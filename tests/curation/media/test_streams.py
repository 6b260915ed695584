"""The right picture and the way it is shown."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from curation.media import iter_frames, probe
from curation.media.facts import facts_of
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.videos import frame_number


def write_two_videos(path: Path, sizes: list[tuple[int, int]], default: int | None) -> Path:
    with av.open(str(path), "w") as output:
        streams = []
        for index, size in enumerate(sizes):
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
            streams.append(stream)
        for number in range(25):
            for stream in streams:
                image = np.full((stream.height, stream.width, 3), 90, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("sizes", "default", "chosen"),
    [
        ([(160, 160), (512, 512)], 1, 1),
        ([(512, 512), (160, 160)], 0, 0),
        ([(160, 160), (512, 512)], None, 1),
        ([(512, 512), (160, 160)], 1, 1),
    ],
    ids=["default", "default first", "largest", "default though small"],
)
def test_one_of_several_pictures(
    tmp_path: Path, sizes: list[tuple[int, int]], default: int | None, chosen: int
) -> None:
    path = write_two_videos(tmp_path / "a.mkv", sizes, default)
    info = probe(str(path))
    assert info.video_stream == chosen
    assert next(iter(iter_frames(str(path)))).image.shape == (sizes[chosen][1], sizes[chosen][0], 3)


IDENTITY = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
MATRICES = {
    "as stored": (1, 0, 0, 1),
    "clockwise": (0, 1, -1, 0),
    "half a turn": (-1, 0, 0, -1),
    "anticlockwise": (0, -1, 1, 0),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}
"""a, b, c, d: a stored pixel (x, y) is shown at (a·x + c·y, b·x + d·y), moved into view."""


@pytest.mark.parametrize("kind", sorted(MATRICES))
def test_every_display_matrix_is_followed(tmp_path: Path, kind: str) -> None:
    path = write_recording(tmp_path / "a.mp4", Recording(seconds=0.2, tracks=(), size=(320, 256)))
    stored = next(iter(iter_frames(str(path)))).image
    a, b, c, d = MATRICES[kind]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    # The movie's header has one of its own, which stays.
    head, separator, tail = data.partition(b"tkhd")
    assert IDENTITY in tail
    path.write_bytes(head + separator + tail.replace(IDENTITY, matrix, 1))
    height, width = stored.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    x, y = a * columns + c * rows, b * columns + d * rows
    expected = np.zeros((int(np.ptp(y)) + 1, int(np.ptp(x)) + 1, 3), np.uint8)
    expected[y - y.min(), x - x.min()] = stored
    shown = next(iter(iter_frames(str(path)))).image
    info = probe(str(path))
    assert (info.width, info.height) == shown.shape[1::-1] == expected.shape[1::-1]
    np.testing.assert_array_equal(shown, expected)


def test_facts_follow_a_file_that_changes(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", Recording(seconds=0.2, tracks=()))
    assert facts_of(str(path)).stored_size == (160, 128)
    write_recording(path, Recording(seconds=0.4, tracks=(), size=(640, 512)))
    assert facts_of(str(path)).stored_size == (640, 512)
    assert frame_number(next(iter(iter_frames(str(path)))).image) == 0
