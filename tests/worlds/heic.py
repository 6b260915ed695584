"""A HEIC picture as phones write it: one HEVC frame in the boxes of ISO/IEC 23008-12."""

import io
import struct
import subprocess
import tempfile
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np


def heic_of(picture: np.ndarray, *, quarter_turns: int = 0) -> bytes:
    """Encode (H, W, 3) uint8 RGB; a viewer rotates it anticlockwise by so many quarter turns."""
    height, width = picture.shape[:2]
    config, data = _hevc_frame(picture)
    properties = [
        config,
        _box(b"ispe", bytes(4) + struct.pack(">II", width, height)),
        _box(b"irot", bytes([quarter_turns])),
    ]
    associations = bytes([3, 0x81, 0x02, 0x83])
    file_type = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        item = struct.pack(">HHH", 1, 0, 1) + struct.pack(">II", offset, len(data))
        return _box(
            b"meta",
            bytes(4)
            + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + _box(b"pitm", bytes(4) + struct.pack(">H", 1))
            + _box(b"iloc", bytes(4) + bytes([0x44, 0]) + struct.pack(">H", 1) + item)
            + _box(b"iinf", bytes(4) + struct.pack(">H", 1) + _box(b"infe", b"\2\0\0\0\0\1\0\0hvc1\0"))
            + _box(
                b"iprp",
                _box(b"ipco", b"".join(properties)) + _box(b"ipma", bytes(4) + struct.pack(">IH", 1, 1) + associations),
            ),
        )

    offset = len(file_type) + len(meta(0)) + 8
    return file_type + meta(offset) + _box(b"mdat", data)


def _hevc_frame(picture: np.ndarray) -> tuple[bytes, bytes]:
    """The `hvcC` box and the sample of a video of one frame.

    FFmpeg's own command makes it: x265 reads memory that it has not set, and fails in a process that has used much.
    """
    height, width = picture.shape[:2]
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "1", "-i", "-")
    coded = ("-c:v", "libx265", "-crf", "10", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.mp4")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *given, *coded, "-frames:v", "1", str(path)]
        subprocess.run(command, input=np.ascontiguousarray(picture).tobytes(), check=True)
        content = path.read_bytes()
    start = content.index(b"hvcC") - 4
    config = content[start : start + struct.unpack(">I", content[start : start + 4])[0]]
    with av.open(io.BytesIO(content)) as container:
        return config, b"".join(bytes(packet) for packet in container.demux(video=0))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content
