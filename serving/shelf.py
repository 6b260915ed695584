"""What is kept on disk of requests: uploads until they end, videos for a while after.

DIR/ID/video.json, which is written last when a request is accepted, and portrait, speech, stream.mp4, video.mp4.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from infra.storage.files import write_atomically
from serving.limits import Limits
from serving.video import KeptVideo

RECORD: Final = "video.json"
_ID: Final = re.compile(r"[0-9a-f]{32}")


class Shelf:
    """A folder of requests.

    Args:
        root: the folder.
        limits: how many are kept, and for how long.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self._limits = root, limits
        root.mkdir(parents=True, exist_ok=True)

    def load(self) -> Iterator[KeptVideo]:
        """The requests that lie here, from the oldest on; what was not accepted whole is removed."""
        found = []
        for folder in self.root.iterdir():
            if not _ID.fullmatch(folder.name):
                continue  # somebody else's
            try:
                found.append(KeptVideo.model_validate_json((folder / RECORD).read_bytes()))
            except (OSError, ValidationError):
                shutil.rmtree(folder, ignore_errors=True)
        yield from sorted(found, key=lambda video: video.created_at)

    def folder(self, video_id: str) -> Path:
        """Where a request's files lie; made if it is not there."""
        folder = self.root / video_id
        folder.mkdir(exist_ok=True)
        return folder

    def portrait(self, video_id: str) -> Path:
        """The uploaded picture."""
        return self.root / video_id / "portrait"

    def speech(self, video_id: str) -> Path:
        """The uploaded sound."""
        return self.root / video_id / "speech"

    def stream(self, video_id: str) -> Path:
        """The fragments that are made so far."""
        return self.root / video_id / "stream.mp4"

    def content(self, video_id: str) -> Path:
        """The finished video."""
        return self.root / video_id / "video.mp4"

    def keep(self, video: KeptVideo) -> None:
        """Write a request's record.

        Raises:
            OSError: the disk does not take it.
        """
        write_atomically(str(self.root / video.id / RECORD), video.model_dump_json(indent=1).encode())

    def tidy(self, video: KeptVideo) -> None:
        """Remove what a request that has ended does not need any more. Those who read the stream keep their file."""
        for path in (self.portrait(video.id), self.speech(video.id), self.stream(video.id)):
            path.unlink(missing_ok=True)
        if video.state != "done":
            self.content(video.id).unlink(missing_ok=True)

    def drop(self, video_id: str) -> None:
        """Remove all of a request."""
        shutil.rmtree(self.root / video_id, ignore_errors=True)

    def too_old(self, videos: Iterable[KeptVideo]) -> list[KeptVideo]:
        """The requests that are kept no longer: those that ended too long ago, or that newer ones have pushed out."""
        ended = sorted((video for video in videos if video.ended), key=lambda video: video.ended_at or 0.0)
        oldest = time.time() - 3600 * self._limits.keep_h
        surplus = max(len(ended) - self._limits.keep, 0)
        return [video for number, video in enumerate(ended) if number < surplus or (video.ended_at or 0.0) < oldest]
