"""How long a video is, found by reading as little of it as possible: planning needs it of every file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av

from curation.media import MediaError, duration_s
from curation.media.playlists import HEAD_BYTES, names_other_files
from infra.storage.files import check_file, filesystem, is_local, store_errors

BLOCK_BYTES = 1 << 20
"""Bytes of a remote file that are fetched at a time. With S3's usual 50 MiB each seek would fetch most files whole."""
MAX_BLOCKS = 32


def header_duration(uri: str) -> float | None:
    """Duration that a container claims, in seconds, or else what its packets add up to; None when neither tells."""
    try:
        with store_errors(), _opened(uri) as file:
            return duration_s(file)
    except (MediaError, av.error.FFmpegError, OSError, ValueError, ImportError):
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
