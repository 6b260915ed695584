"""What several metrics need of the same video, computed once: its faces, its mouth, its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.metrics.metric import NoValueError
from bench.metrics.talking_clips import whole_shot
from curation.backends.lips.mouth_features import MouthMotion
from curation.backends.lips.mouth_motion import watch_mouth
from curation.clip.schema import Clip
from curation.media import MediaError


@dataclass(frozen=True, slots=True)
class MeasuredVideo:
    """A video file in one state: results derived from it may be cached as long as this stays equal."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> MeasuredVideo:
        """The file as it is now.

        Raises:
            MediaError: there is none.
        """
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise MediaError("missing", str(path)) from error
        return cls(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def face_clip(measured: MeasuredVideo) -> Clip:
    """The video as one clip with its face tracks, largest first; faces are looked for twice a second.

    Raises:
        MediaError: it cannot be read.
        NoValueError: no face is found.
    """
    clip = whole_shot(Path(measured.path))
    if not clip.tracks:
        raise NoValueError("no face")
    return clip


@lru_cache(maxsize=2)
def mouth(measured: MeasuredVideo) -> tuple[int, MouthMotion]:
    """First frame at 25 fps on which the largest face is seen, and how its mouth moves from there on.

    Raises:
        MediaError: the video cannot be read.
        NoValueError: there is no face.
    """
    return watch_mouth(face_clip(measured))


def file_hash(path: Path) -> str:
    """Sixteen hex digits of a file's content; empty when there is no such file."""
    if not path.is_file():
        return ""
    status = path.stat()
    return _file_hash(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_hash(path: str, size: int, modified_ns: int) -> str:  # noqa: ARG001 (the file's state is the cache's key)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
