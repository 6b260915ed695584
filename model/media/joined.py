"""Files that hold two recordings, laid end to end as bytes: FFmpeg plays only the first and does not say so.

This concerns WAV, AIFF and MP4, which state their own length. In formats that can be cut anywhere (MP3, AAC, FLAC, Ogg)
FFmpeg reads on into the second recording.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

_WHOLES: Final = {(b"RIFF", b"WAVE"), (b"RF64", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC")}
"""The names of the chunk that holds all others, and of the form that it holds."""


def is_joined(path: Path, format_name: str) -> bool:
    """Whether another recording begins after the end of the first.

    Args:
        path: a file that FFmpeg can open.
        format_name: what FFmpeg calls its format.
    """
    with path.open("rb") as file:
        if format_name in {"wav", "aiff"}:
            return _chunk_follows(file)
        return "mp4" in format_name.split(",") and _film_follows(file)


def _chunk_follows(file: BinaryIO) -> bool:
    head = file.read(28)
    kind, form = head[:4], head[8:12]
    if len(head) < 28 or (kind, form) not in _WHOLES:
        return False
    if kind == b"FORM":
        size = struct.unpack(">I", head[4:8])[0]
    elif kind == b"RF64":
        size = struct.unpack("<Q", head[20:28])[0]
    else:
        size = struct.unpack("<I", head[4:8])[0]
    file.seek(min(8 + size, _size(file)))
    behind = file.read(13)
    # After an odd number of bytes there should be a byte of padding, but not all programs write it.
    return any((behind[pad : pad + 4], behind[8 + pad : 12 + pad]) in _WHOLES for pad in (0, 1))


def _film_follows(file: BinaryIO) -> bool:
    """Whether a second `ftyp` comes after the index. FFmpeg reads all fragments, whatever comes between them."""
    has_index, position, end = False, 0, _size(file)
    while position + 8 <= end:
        file.seek(position)
        head = file.read(16)
        size, kind = struct.unpack(">I4s", head[:8])
        if kind == b"moof":
            return False
        if kind == b"ftyp" and has_index:
            return True
        has_index |= kind == b"moov"
        if size == 1 and len(head) == 16:
            size = struct.unpack(">Q", head[8:])[0]
        if size < 8:
            # Either the last box reaches to the end of the file, or the file is damaged and FFmpeg reads what it can.
            return False
        position += size
    return False


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
