"""Speech from a served model: a wav of the requested duration that is not silent."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from bench.builder.briefs import Brief
from bench.builder.failure import StepFailedError, refusals
from bench.builder.spec import SpeechConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A recording."""

    samples: npt.NDArray[np.int16]
    """`(N,)` mono."""
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / self.sample_rate_hz

    @property
    def level_db(self) -> float:
        """Root mean square over full scale; -inf for digital silence."""
        power = float(np.mean(np.square(self.samples / 32768.0))) if len(self.samples) else 0.0
        return 10 * math.log10(power) if power > 0 else -math.inf

    def to_wav(self) -> bytes:
        """A wav of 16 bits; equal samples give equal bytes."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.sample_rate_hz, format="WAV", subtype="PCM_16")
        return file.getvalue()


def speak(config: SpeechConfig, brief: Brief, message: str) -> Recording:
    """The message, spoken by the slot's voice.

    Raises:
        StepFailedError: what came back is not what was asked for.
        NotNowError: the server gave no answer.
    """
    model = config.singing_model if brief.mode == "sing" else config.model
    body = {"model": model, "input": message, "voice": voice(config, brief), "response_format": "wav"}
    with refusals():
        answer = config.post_for_file("audio/speech", {**body, **config.extra})
    try:
        sound = read_sound(answer)
    except ValueError as error:
        raise StepFailedError("not a sound", str(error)) from error
    check_sound(config, sound)
    low, high = brief.duration_s
    if not low - config.duration_tolerance_s <= sound.duration_s <= high + config.duration_tolerance_s:
        way = "too short" if sound.duration_s < low else "too long"
        detail = f"{len(message)} letters lasted {sound.duration_s:.1f} s, wanted were {low:g} to {high:g} s"
        raise StepFailedError(f"the speech is {way}", detail)
    return sound


def voice(config: SpeechConfig, brief: Brief) -> str:
    """The slot's voice: those of its language and gender take turns."""
    voices = config.voices[f"{brief.language}_{brief.gender}"]
    return voices[brief.number % len(voices)]


def read_sound(data: bytes) -> Recording:
    """Decode a recording and mix it to mono.

    Streaming servers leave the length out of a wav's header; writing the samples to a new wav adds it.

    Raises:
        ValueError: it cannot be decoded.
    """
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError, OSError) as error:
        raise ValueError(f"cannot be decoded: {error}") from error
    mono = np.clip(np.round(samples.mean(1) * 32768.0), -32768, 32767).astype(np.int16)
    return Recording(samples=mono, sample_rate_hz=int(rate))


def check_sound(config: SpeechConfig, sound: Recording) -> None:
    """Check that a recording has a sufficient sample rate and is not silent.

    Raises:
        StepFailedError: its sample rate is too low, or it is silent.
    """
    if sound.sample_rate_hz < config.min_sample_rate_hz:
        raise StepFailedError("the sound's sample rate is too low", f"{sound.sample_rate_hz} Hz")
    if sound.level_db < config.min_level_db:
        raise StepFailedError("the sound is silent", f"{sound.level_db:.0f} dB over {sound.duration_s:.1f} s")
