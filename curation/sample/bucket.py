"""The sample bucket: a directory of small videos, each with something to keep or to reject."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from curation.sample.kept import KEPT
from curation.sample.rejected import BROKEN, REJECTED
from curation.sample.truth import SampleTruth
from curation.sample.video import SampleVideo

Progress = Callable[[int, int, str], None]
"""Called with the number of videos that exist, the number of all, and the name of the newest."""

VIDEOS: tuple[SampleVideo, ...] = (*KEPT, *REJECTED, *BROKEN)


def bucket_truth() -> list[SampleTruth]:
    """What is known of every video, without making any."""
    return [video.truth for video in VIDEOS]


def make_bucket(directory: str | Path, *, progress: Progress | None = None) -> list[SampleTruth]:
    """Make the videos that `directory` does not have yet, and nothing else; the same content every time.

    A video appears under its name only when it is whole, so an interrupted call can be repeated.

    Raises:
        ValueError: `directory` exists and is not a directory.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    directory.mkdir(parents=True, exist_ok=True)
    missing = [video for video in VIDEOS if not (directory / video.truth.name).exists()]
    done = len(VIDEOS) - len(missing)
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        # Longest first, so that no thread is left alone with a long one.
        missing.sort(key=lambda video: video.truth.duration_s, reverse=True)
        pending = {pool.submit(_make, video, directory): video for video in missing}
        for finished in as_completed(pending):
            finished.result()
            done += 1
            if progress is not None:
                progress(done, len(VIDEOS), pending[finished].truth.name)
    return bucket_truth()


def _make(video: SampleVideo, directory: Path) -> None:
    # The process number keeps two calls on one directory from writing to the same file.
    part = directory / f".{video.truth.name}.{os.getpid()}.part"
    try:
        video.make(part)
        part.replace(directory / video.truth.name)
    finally:
        part.unlink(missing_ok=True)
