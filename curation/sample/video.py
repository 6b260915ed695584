"""One video of the sample bucket: its truth, and the way from a take to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curation.clip.caption import CameraMovement
from curation.clip.schema import AudioType, ShotType
from curation.sample.encode import Encoding, encode
from curation.sample.speech import SAMPLE_RATE_HZ, Speech, silence, speak
from curation.sample.takes import portrait_take
from curation.sample.truth import SampleTruth

Image = npt.NDArray[np.uint8]
Take = Callable[[Speech, SampleTruth], Iterator[Image]]

TALKING = SampleTruth(
    name="",
    keep=True,
    keep_general=True,
    audio="kept",
    audio_type=AudioType.TALKING,
    size=(640, 640),
    duration_s=5.0,
    num_people=1,
    shot_type=ShotType.PORTRAIT,
    camera_movement=CameraMovement.STATIC,
)
"""What most videos have in common; each says where it differs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleVideo:
    """One file of the bucket."""

    truth: SampleTruth
    make: Callable[[Path], None]
    """Write it to a path, whatever that path's suffix."""


def filmed(truth: SampleTruth, take: Take, *, sound: bool = True, encoding: Encoding | None = None) -> SampleVideo:
    """A video whose frames are a take and whose sound is what is said in it."""

    def make(path: Path) -> None:
        speech = speech_of(truth)
        samples = speech.samples[: round(truth.duration_s * SAMPLE_RATE_HZ)] if sound else None
        encode(path, truth.name, take(speech, truth), fps=truth.fps, samples=samples, encoding=encoding)

    return SampleVideo(truth=truth, make=make)


def speech_of(truth: SampleTruth) -> Speech:
    """What is said in a video, on the sound's timeline; the lips are `audio_lag_s` ahead of it."""
    if truth.speech_seed is None:
        return silence(truth.duration_s)
    return speak(truth.duration_s + truth.audio_lag_s, seed=truth.speech_seed)


def portrait(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    """The take that most videos are made of."""
    assert truth.size is not None
    return portrait_take(speech, truth.duration_s, fps=truth.fps, size=truth.size, start_s=truth.audio_lag_s)
