"""A HEIC picture as telephones write it: one HEVC frame in the boxes of ISO/IEC 23008-12."""

import io
import struct
from fractions import Fraction

import av
import numpy as np


def heic_of(picture: np.ndarray, *, quarter_turns: int = 0) -> bytes:
    """Encode (H, W, 3) uint8 RGB; a viewer turns it anticlockwise by so many quarters."""
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
    """The `hvcC` box and the sample of a video of one frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx265", rate=1, options={"crf": "10", "x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    content = file.getvalue()
    start = content.index(b"hvcC") - 4
    config = content[start : start + struct.unpack(">I", content[start : start + 4])[0]]
    with av.open(io.BytesIO(content)) as container:
        return config, b"".join(bytes(packet) for packet in container.demux(video=0))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content
