"""What clients send as portrait and speech, checked before a request is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from model.media.portrait import load_image
from model.media.sound import SILENCE_PEAK, SoundTrack
from serving.client_words import in_clients_words
from serving.limits import Limits
from serving.video import VideoOptions

MIN_SIDE: Final = 32
"""Pixels of a portrait's side at least: fewer show nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedUploads:
    """What the video will be."""

    height: int
    width: int
    seconds: float
    """Of the speech that is used."""


def check_uploads(
    portrait: Path, speech: Path, options: VideoOptions, limits: Limits, default_area: int
) -> CheckedUploads:
    """Read both files as the model will.

    Args:
        portrait: the picture.
        speech: the sound.
        options: what else is asked for.
        limits: what is accepted.
        default_area: pixels of a frame where no size is asked for.

    Raises:
        ValueError: one of them is not what it should be, or goes beyond a limit; one line, in a client's words.
    """
    sampling = options.sampling()
    try:
        if sampling.num_steps(1) > limits.steps:
            _refuse(f"--steps must be at most {limits.steps}, got {sampling.steps}")
        image = load_image(portrait, max_pixels=limits.megapixels * 10**6)
        if min(image.size) < MIN_SIDE:
            _refuse(f"--image is {image.width}x{image.height}: a side has at least {MIN_SIDE} pixels")
        height, width = sampling.check_portrait(image, default_area)
        if height * width > limits.area:
            _refuse(f"{width}x{height} is too large: a frame has at most {limits.area} pixels here")
        seconds = _speech_seconds(speech, limits.speech_s)
        return CheckedUploads(height=height, width=width, seconds=min(seconds, options.seconds or seconds))
    except ValueError as error:
        raise ValueError(in_clients_words(str(error), {portrait: "image", speech: "audio"})) from error


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _speech_seconds(speech: Path, limit_s: int) -> float:
    """Length of the sound, which is read to its end, or to the limit."""
    seconds, peak = 0.0, 0.0
    for form, samples in SoundTrack.open(speech).blocks():
        seconds += len(samples) / form.rate_hz
        peak = max(peak, float(np.abs(samples).max(initial=0.0)))
        if seconds > limit_s:
            raise ValueError(f"{speech} lasts more than {limit_s} s")
    if peak < SILENCE_PEAK:
        raise ValueError(f"{speech} is silent: its loudest sample is below -80 dBFS")
    return seconds
