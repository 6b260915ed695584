"""Videos of the sample bucket that are rejected, each for one fault, and files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curation.clip.caption import CameraMovement
from curation.clip.schema import AudioType, ShotType
from curation.sample import spoil, takes
from curation.sample.encode import Encoding
from curation.sample.speech import Speech
from curation.sample.truth import SampleTruth
from curation.sample.video import TALKING, SampleVideo, filmed, portrait

Image = npt.NDArray[np.uint8]

SPOILT = replace(
    TALKING, keep=False, keep_general=False, audio="none", size=(560, 560), duration_s=4.2, speech_seed=120
)
WIDE = replace(SPOILT, size=(1280, 720), shot_type=ShotType.UPPER_BODY)
TOO_POOR = ("split", "faces", "quality", "defects")
"""Stages that may reject a picture too bad to use: its quality is low, its face is not found, or it is a defect."""


def _frozen(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    return spoil.freeze(portrait(speech, truth), round(truth.duration_s * truth.fps))


def _logo(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    return spoil.stamp_logo(takes.pan_take(speech, truth.duration_s))


def _letterboxed(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    return spoil.letterbox(takes.room_take(speech, truth.duration_s))


REJECTED = (
    filmed(
        replace(
            SPOILT,
            name="scenery.webm",
            keep_general=True,
            reject_stages=("split", "faces"),
            size=(1280, 720),
            num_people=0,
            shot_type=ShotType.NONE,
            camera_movement=CameraMovement.PAN_LEFT,
            audio_type=AudioType.NONE,
            speech_seed=None,
        ),
        lambda _, truth: takes.scenery_take(truth.duration_s),
        sound=False,
    ),
    filmed(
        replace(SPOILT, name="below_480p.mp4", duration_s=2.0, reject_stages=("resolution",), size=(640, 360)),
        portrait,
    ),
    filmed(
        replace(SPOILT, name="exactly_480p.mp4", duration_s=2.0, reject_stages=("resolution",), size=(854, 480)),
        portrait,
    ),
    filmed(
        replace(
            SPOILT,
            name="too_short.mp4",
            reject_stages=("scenes", "split"),
            reject_rules=("too_short",),
            duration_s=1.6,
        ),
        portrait,
    ),
    filmed(
        replace(
            SPOILT,
            name="subtitled.mp4",
            duration_s=5.0,
            reject_stages=("subtitles",),
            size=(720, 1280),
            shot_type=ShotType.UPPER_BODY,
        ),
        lambda speech, truth: spoil.subtitle(portrait(speech, truth), fps=truth.fps),
    ),
    filmed(replace(SPOILT, name="frozen.mp4", reject_stages=("quality", "defects")), _frozen),
    filmed(
        replace(
            WIDE,
            name="black.mp4",
            reject_stages=TOO_POOR,
            num_people=0,
            shot_type=ShotType.NONE,
        ),
        lambda _, truth: takes.black_take(truth.duration_s),
    ),
    filmed(replace(WIDE, name="letterboxed.mp4", reject_stages=("defects",)), _letterboxed),
    filmed(
        replace(
            WIDE,
            name="corner_logo.mp4",
            reject_stages=("subtitles", "defects"),
            camera_movement=CameraMovement.PAN_RIGHT,
        ),
        _logo,
    ),
    filmed(
        replace(SPOILT, name="blurry.mp4", reject_stages=TOO_POOR),
        lambda speech, truth: spoil.blur(portrait(speech, truth), sigma=5.0),
    ),
    filmed(
        replace(SPOILT, name="underexposed.mp4", reject_stages=TOO_POOR),
        lambda speech, truth: spoil.darken(portrait(speech, truth), gain=0.13),
    ),
    filmed(
        replace(SPOILT, name="noisy.mp4", reject_stages=TOO_POOR),
        lambda speech, truth: spoil.make_noisy(portrait(speech, truth), sigma=40.0),
        encoding=Encoding(crf=26),
    ),
    filmed(
        replace(SPOILT, name="blocky.mov", reject_stages=TOO_POOR, notes="MPEG-4 at its coarsest"),
        lambda speech, truth: spoil.coarsen(portrait(speech, truth), cell=14),
    ),
)


def _broken(name: str, rules: tuple[str, ...], make: Callable[[Path], None]) -> SampleVideo:
    truth = SampleTruth(
        name=name,
        keep=False,
        keep_general=False,
        reject_stages=("probe",),
        reject_rules=rules,
        readable=False,
    )
    return SampleVideo(truth=truth, make=make)


def _random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(7).bytes(60_000))


def _truncated(path: Path) -> None:
    """An mp4 keeps its index at the end: cut off, nothing of it can be decoded."""
    filmed(replace(SPOILT, name="truncated.mp4", duration_s=2.0), portrait).make(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


BROKEN = (
    _broken("random_bytes.mp4", ("unreadable", "no_video_stream", "undecodable"), _random_bytes),
    _broken("truncated.mp4", ("unreadable", "no_video_stream", "undecodable"), _truncated),
    _broken("empty_file.mp4", ("empty_file",), _empty),
)
