"""What a drawn face does over time: its speech, and how it moves its head."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy.signal import lfilter
from torch import Tensor

from bench.studies.talking_faces.face import Pose, draw_face
from bench.studies.talking_faces.identity import Identity, draw_identity
from curation.sample.speech import CONTROL_RATE_HZ, SAMPLE_RATE_HZ, Speech, speak
from model.codecs.audio import SAMPLE_RATE_HZ as MODEL_RATE_HZ

FPS: Final = 25
_TAIL_S: Final = 0.5
"""Speech falls silent this long before its end."""
Floats = npt.NDArray[np.float64]


class HeadMotion(StrEnum):
    """How the head moves: the prompt says it, and no single picture shows it."""

    STILL = "still"
    NODDING = "nodding"
    SHAKING = "shaking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A speaker's voice, and the microphone before it. The mouth's curve depends on neither."""

    pitch_hz: float
    formant_scale: float
    """See `speak`."""
    loudness: float
    """Of the recording, 0 to 1."""
    tilt: float
    """Of the recording's spectrum: a share of each sample that is added to the next; negative is bright."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """One video: everything that its frames and its sound follow from."""

    identity: Identity
    motion: HeadMotion
    duration_s: float
    speech_seed: int
    speech_start_s: float
    """Where in the speech the video begins, which is after its start: all speech begins with a phrase after a short
    breath, so the mouth openings in the first 3 s of two utterances correlate by as much as 0.75."""
    voice: Voice
    """How the speech sounds."""
    amplitude: float
    """Of the head's swing, pixels of a 96-pixel picture."""
    frequency_hz: float
    """Of the head's swing."""
    phase: float
    """Of the head's swing at the start, radians."""

    @property
    def num_frames(self) -> int:
        """At `FPS`."""
        return round(self.duration_s * FPS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """A performance in pictures and sound."""

    frames: npt.NDArray[np.uint8] = field(repr=False)
    """(T, S, S, 3) RGB."""
    waveform: Tensor = field(repr=False)
    """(N,) fp32 at 16 kHz."""
    opening: Floats = field(repr=False)
    """(T,): mouth opening, 0 to 1, mean over each frame's 40 ms."""
    shift: Floats = field(repr=False)
    """(T, 2): the head's displacement to the right and down, pixels of a 96-pixel picture."""


def draw_performance(
    rng: np.random.Generator, *, duration_s: float, speech_seed: int, swing: float = 1.0
) -> Performance:
    """A random person who moves the head in a random way.

    Args:
        rng: where all of it comes from.
        duration_s: length in seconds.
        speech_seed: what is said.
        swing: how far heads swing; 1 is 4 to 5 pixels of a 96-pixel picture.
    """
    return Performance(
        identity=draw_identity(rng),
        motion=list(HeadMotion)[int(rng.integers(len(HeadMotion)))],
        duration_s=duration_s,
        speech_seed=speech_seed,
        speech_start_s=float(rng.integers(8, 60)) / FPS,
        voice=draw_voice(rng),
        amplitude=swing * float(rng.uniform(4.0, 5.0)),
        frequency_hz=float(rng.uniform(0.9, 1.1)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random voice, from a low one of a man to a high one of a woman."""
    height = float(rng.uniform())
    return Voice(
        pitch_hz=95 + 135 * height + float(rng.uniform(-10, 10)),
        formant_scale=0.85 + 0.15 * height + float(rng.uniform(-0.04, 0.04)),
        loudness=float(rng.uniform(0.3, 1.0)),
        tilt=float(rng.uniform(-0.4, 0.4)),
    )


def perform(performance: Performance, *, size: int = 96) -> Take:
    """Draw all frames and make the sound."""
    speech = speech_of(performance)
    opening = frame_openings(speech, performance.num_frames)
    shift = head_path(performance)
    poses = [Pose(opening=o, shift_x=x, shift_y=y) for o, (x, y) in zip(opening, shift, strict=True)]
    frames = np.stack(list(draw_face(performance.identity, poses, size=size)))
    waveform = recorded(speech, performance.voice)
    return Take(frames=frames, waveform=waveform, opening=opening, shift=shift)


def speech_of(performance: Performance) -> Speech:
    """The sound and the mouth's curves, cut out of a longer utterance."""
    start_s, end_s = performance.speech_start_s, performance.speech_start_s + performance.duration_s
    voice = performance.voice
    whole = speak(
        end_s + _TAIL_S, seed=performance.speech_seed, pitch_hz=voice.pitch_hz, formant_scale=voice.formant_scale
    )
    sound = slice(round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ))
    curve = slice(round(start_s * CONTROL_RATE_HZ), round(end_s * CONTROL_RATE_HZ))
    return Speech(samples=whole.samples[sound], opening=whole.opening[curve], rounding=whole.rounding[curve])


def recorded(speech: Speech, voice: Voice) -> Tensor:
    """(N,) fp32 at the model's 16 kHz, as the microphone gives it."""
    samples = lfilter([1.0, voice.tilt], [1.0], speech.samples / 2**15) * (voice.loudness / (1 + abs(voice.tilt)))
    resampled = soxr.resample(samples.astype(np.float32), SAMPLE_RATE_HZ, MODEL_RATE_HZ)
    return torch.from_numpy(np.ascontiguousarray(resampled))


def frame_openings(speech: Speech, num_frames: int) -> Floats:
    """(T,): mean of the opening over each frame's 40 ms, frame f lasting from f/25 s to (f+1)/25 s."""
    per_frame = CONTROL_RATE_HZ // FPS
    curve = speech.opening[: num_frames * per_frame]
    curve = np.pad(curve, (0, num_frames * per_frame - len(curve)))
    means: Floats = curve.reshape(num_frames, per_frame).mean(axis=1)
    return means


def head_path(performance: Performance) -> Floats:
    """(T, 2): the head's displacement on each frame."""
    time_s = np.arange(performance.num_frames) / FPS
    swing = performance.amplitude * np.sin(2 * np.pi * performance.frequency_hz * time_s + performance.phase)
    path = np.zeros((performance.num_frames, 2))
    if performance.motion is not HeadMotion.STILL:
        path[:, 0 if performance.motion is HeadMotion.SHAKING else 1] = swing
    return path
