"""Videos of the sample bucket that are kept, at least in part, and those that lose only their sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.caption import CameraMovement
from curation.clip.schema import AudioType, ShotType
from curation.sample import spoil, takes
from curation.sample.encode import Encoding
from curation.sample.speech import Speech
from curation.sample.truth import SampleTruth
from curation.sample.video import TALKING, filmed, portrait

Image = npt.NDArray[np.uint8]

UPPER_BODY = replace(TALKING, size=(1280, 720), shot_type=ShotType.UPPER_BODY)


def _montage(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    first, second = truth.cuts_s
    close_up = takes.close_up_take(speech, truth.duration_s - second, fps=truth.fps, start_s=second)
    return chain(
        takes.room_take(speech, first, fps=truth.fps),
        takes.scenery_take(second - first, fps=truth.fps),
        spoil.tint(close_up, (0.78, 0.92, 1.08)),
    )


def _turned(speech: Speech, truth: SampleTruth) -> Iterator[Image]:
    return (
        np.asarray(cv2.rotate(frame, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8) for frame in portrait(speech, truth)
    )


KEPT = (
    filmed(replace(TALKING, name="talking_portrait.mp4", duration_s=10.0, speech_seed=101), portrait),
    filmed(
        replace(
            UPPER_BODY,
            name="talking_pan.mp4",
            duration_s=8.0,
            camera_movement=CameraMovement.PAN_RIGHT,
            speech_seed=102,
        ),
        lambda speech, truth: takes.pan_take(speech, truth.duration_s),
    ),
    filmed(
        replace(
            UPPER_BODY,
            name="talking_zoom.mkv",
            fps=24,
            camera_movement=CameraMovement.ZOOM_IN,
            speech_seed=103,
        ),
        lambda speech, truth: takes.zoom_take(speech, truth.duration_s, fps=truth.fps),
    ),
    filmed(
        replace(
            UPPER_BODY,
            name="shop_sign.mp4",
            camera_movement=CameraMovement.PAN_RIGHT,
            speech_seed=104,
            notes="the sign is text in the scene: it moves with the wall and covers little",
        ),
        lambda speech, truth: takes.street_take(speech, truth.duration_s),
    ),
    filmed(
        replace(UPPER_BODY, name="two_people.mp4", num_people=2, speech_seed=105),
        lambda speech, truth: takes.two_people_take(speech, truth.duration_s),
    ),
    filmed(
        replace(
            TALKING,
            name="full_body.mp4",
            size=(1080, 1920),
            shot_type=ShotType.FULL_BODY,
            speech_seed=106,
            notes="the upper body can be cropped out with a short edge above 480",
        ),
        lambda speech, truth: takes.full_body_take(speech, truth.duration_s),
    ),
    filmed(
        replace(
            UPPER_BODY,
            name="cut_montage.mp4",
            duration_s=13.5,
            fps=30,
            cuts_s=(4.5, 9.0),
            rejected_spans_s=((4.5, 9.0),),
            shot_type=None,
            camera_movement=None,
            speech_seed=107,
            notes="upper body, scenery under the same voice, close-up in other colours",
        ),
        _montage,
    ),
    filmed(
        replace(
            TALKING,
            name="rotated.mp4",
            size=(720, 1280),
            shot_type=ShotType.UPPER_BODY,
            speech_seed=108,
            notes="stored as 1280 × 720 with a display matrix that turns it",
        ),
        _turned,
        encoding=Encoding(rotation_deg=-90),
    ),
    filmed(
        replace(
            TALKING,
            name="anamorphic.mp4",
            size=(1280, 720),
            speech_seed=109,
            notes="stored as 960 × 720 with pixels 4:3 wide",
        ),
        portrait,
        encoding=Encoding(stored_size=(960, 720), sample_aspect_ratio=Fraction(4, 3)),
    ),
    filmed(
        replace(
            TALKING,
            name="shifted_audio.mp4",
            duration_s=10.0,
            audio="none",
            audio_reason="sync/offset",
            speech_seed=110,
            audio_lag_s=0.6,
        ),
        portrait,
    ),
    filmed(
        replace(
            TALKING,
            name="silent.mp4",
            audio="none",
            audio_reason="sync/silent",
            audio_type=AudioType.NONE,
            notes="a track of digital silence",
        ),
        portrait,
    ),
    filmed(
        replace(
            TALKING,
            name="no_audio_track.mp4",
            audio="none",
            audio_reason="sync/no_audio_stream",
            audio_type=AudioType.NONE,
            speech_seed=111,
            notes="the lips move all the same",
        ),
        portrait,
        sound=False,
    ),
)
