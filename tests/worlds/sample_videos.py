"""Part of the sample bucket: some of its videos take most of the time of making and curating it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from curation.sample import bucket

LONG = frozenset(
    {
        *("full_body.mp4", "talking_pan.mp4", "talking_zoom.mkv", "cut_montage.mp4"),
        *("talking_portrait.mp4", "two_people.mp4", "shop_sign.mp4", "anamorphic.mp4"),
        *("shifted_audio.mp4", "no_audio_track.mp4", "noisy.mp4", "underexposed.mp4", "blocky.mov", "black.mp4"),
        *("scenery.webm", "subtitled.mp4", "letterboxed.mp4", "corner_logo.mp4"),
    }
)
"""Videos that only the slow tests use. The others include a kept video with sound, one whose sound is dropped, and one
for each of most stages."""
TRUTH = {truth.name: truth for truth in bucket.bucket_truth()}
SHORT = frozenset(TRUTH) - LONG


def make_videos(folder: Path, names: frozenset[str]) -> Path:
    """Make these videos of the bucket and no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket, "VIDEOS", tuple(video for video in bucket.VIDEOS if video.truth.name in names))
        bucket.make_bucket(folder)
    return folder


def each(names: Iterable[str], slow: frozenset[str] = LONG) -> list[object]:
    """Names as parameters of a test, in order, some marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in sorted(names)]
