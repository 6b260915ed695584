"""How long a video is, by as little of it as tells: what planning asks of every file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av

from curation.playlists import HEAD_BYTES, names_other_files
from curation.storage import check_file, filesystem, is_local, store_errors

BLOCK_BYTES = 1 << 20
"""What is fetched at a time of a remote file. S3's usual 50 MiB would fetch most files whole, once a seek."""
MAX_BLOCKS = 32


def header_duration(uri: str) -> float | None:
    """Duration that a container claims, in seconds, or else what its packets add up to; None when neither tells."""
    try:
        with store_errors(), _opened(uri) as file, av.open(file, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.duration:
                return float(stream.duration * stream.time_base)
            if container.duration:
                return float(container.duration / av.time_base)
            return _measured(container, stream)
    except (av.error.FFmpegError, OSError, ValueError, IndexError, ImportError):
        return None


@contextmanager
def _opened(uri: str) -> Iterator[Any]:
    """What PyAV can read: a path here, a file object elsewhere.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is a list of other files.
    """
    fs, plain = filesystem(uri)
    if is_local(uri):
        check_file(plain)
    options = {} if is_local(uri) else {"block_size": BLOCK_BYTES, "cache_type": "blockcache"}
    if options:
        options["cache_options"] = {"maxblocks": MAX_BLOCKS}
    with fs.open(plain, "rb", **options) as file:
        if names_other_files(file.read(HEAD_BYTES)):
            raise ValueError(f"{uri} is a list of other files")
        file.seek(0)
        yield plain if is_local(uri) else file


def _measured(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """From the first packet to the end of the last, as in a recording that nobody finished; reads the whole file."""
    starts = [packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size]
    if not starts:
        return None
    frame_s = 1 / stream.average_rate if stream.average_rate else 0
    return float((max(starts) - min(starts)) * stream.time_base + frame_s)
