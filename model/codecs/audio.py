"""Speech: reading it, and which 50 Hz steps of it belong to which latent frame.

Letters: N samples, T audio steps (20 ms each), A features of a step, F latent frames, W steps of a latent's
window.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.codecs.audio_encoders import STEPS_PER_WINDOW, AudioEncoder
from model.codecs.geometry import TEMPORAL_COMPRESSION
from model.media.sound import SILENCE_PEAK, Mixer, SoundTrack

SAMPLE_RATE_HZ: Final = 16_000
STEP_RATE_HZ: Final = 50
SAMPLES_PER_STEP: Final = SAMPLE_RATE_HZ // STEP_RATE_HZ

CONTEXT_STEPS: Final = 12
"""Steps of sound on each side of a clip that are heard with it: 0.24 s, about what a curated clip has beyond the frames
that are encoded of it. Enough for windows of up to 32 steps."""


def load_audio(path: str | Path) -> Tensor:
    """Decode the sound of any media file to (N,) fp32, 16 kHz, mono, full scale at ±1.

    N is the exact length of the source, ⌈seconds · 16000⌉. The track is the one that `SoundTrack.open` chooses. Several
    channels are mixed as FFmpeg does, scaled so that they cannot clip; where they cancel out, the loudest is taken.

    Raises:
        ValueError: no such file, not a media file, no sound that can be decoded, or empty sound.
    """
    track = SoundTrack.open(Path(path))
    mixer = Mixer(1)
    chunks = list(track.resampled(SAMPLE_RATE_HZ, mixer))
    if loudest := mixer.loudest_instead():
        chunks = list(track.resampled(SAMPLE_RATE_HZ, Mixer(1, loudest)))
    return torch.from_numpy(np.concatenate(chunks)[:, 0])


def load_speech(path: str | Path) -> Tensor:
    """Load as `load_audio` does, and refuse silence: it holds no speech.

    Raises:
        ValueError: as `load_audio`, or the loudest sample is below −80 dBFS.
    """
    waveform = load_audio(path)
    if float(waveform.abs().max()) < SILENCE_PEAK:
        raise ValueError(f"{path} is silent: its loudest sample is below -80 dBFS")
    return waveform


def num_video_frames(num_samples: int, fps: int | Fraction) -> int:
    """Frames of a video as long as N samples of 16 kHz speech: rounded up, so that no sound is cut."""
    return -(-(num_samples * Fraction(fps)) // SAMPLE_RATE_HZ)


def latent_window_starts(latents: Sequence[int], *, window: int, fps: int | Fraction = 25) -> list[int]:
    """First audio step of each latent frame's window; it may be negative.

    Latent 0 covers pixel frame 0, latent k ≥ 1 the pixel frames 4k−3 … 4k. Its window is centred on these
    four frames: at 25 fps the 8 steps 8k−6 … 8k+1 and (W − 8)/2 of context on each side. Latent 0 follows
    the same rule: the last two of its eight steps are those of frame 0, and steps before the sound are zero.
    """
    steps_per_frame = STEP_RATE_HZ / Fraction(fps)
    centres = [(TEMPORAL_COMPRESSION * k - 1) * steps_per_frame for k in latents]
    return [int((centre - Fraction(window, 2) + Fraction(1, 2)).__floor__()) for centre in centres]


def align_audio(
    steps: Tensor, latents: Sequence[int], *, window: int, fps: int | Fraction = 25, first_step: int = 0
) -> Tensor:
    """The windows (F, W, A) of latent frames, cut from audio steps (T, A) that begin with step `first_step`.

    Steps outside of `steps` are zeros, as "no sound" is everywhere.
    """
    starts = torch.tensor(latent_window_starts(latents, window=window, fps=fps), device=steps.device)
    index = starts[:, None] + torch.arange(window, device=steps.device) - first_step
    inside = (index >= 0) & (index < len(steps))
    if not inside.any():
        return steps.new_zeros(*index.shape, steps.shape[1])
    return steps[index.clamp(0, len(steps) - 1)] * inside[..., None]


def check_waveform(waveform: Tensor) -> None:
    """Raise a ValueError if `waveform` is not (N,) with N > 0."""
    if waveform.ndim != 1 or len(waveform) == 0:
        raise ValueError(f"a waveform is (N,) with N > 0, got {tuple(waveform.shape)}")


def clip_features(
    encoder: AudioEncoder, waveform: Tensor, *, start_frame: int, num_frames: int, fps: int | Fraction = 25
) -> Tensor:
    """What the network may hear of one clip: the features of its sound and of `CONTEXT_STEPS` on each side.

    Clips are encoded for training and heard in generation by this function alone. Whisper's features depend on where in
    its window of 30 s the sound lies and on all that lies there with it, so the window begins with the clip's context
    and holds nothing else. Sound that does not exist is silence for the encoder, and its features are zeros.

    Args:
        encoder: Whisper or log-mel bins.
        waveform: (N,) at 16 kHz.
        start_frame: first pixel frame of the clip, in frames since the waveform's start.
        num_frames: pixel frames of the clip.
        fps: frames a second.

    Returns:
        (T, A) fp32; the first step is the one `CONTEXT_STEPS` before that at which frame `start_frame` begins.

    Raises:
        ValueError: there is no sound, or the clip is longer than Whisper's window.
    """
    check_waveform(waveform)
    begin = round(start_frame / Fraction(fps) * SAMPLE_RATE_HZ) - CONTEXT_STEPS * SAMPLES_PER_STEP
    num_steps = -(-(num_frames * STEP_RATE_HZ) // Fraction(fps)) + 2 * CONTEXT_STEPS
    if num_steps > STEPS_PER_WINDOW:
        raise ValueError(f"a clip of {num_frames} frames is longer than the audio encoder's window of 30 s")
    end = begin + num_steps * SAMPLES_PER_STEP
    heard = waveform[max(begin, 0) : max(end, 0)]
    if len(heard) == 0:
        return waveform.new_zeros(num_steps, encoder.audio_dim)
    before = min(max(-begin, 0), end - begin)
    padded = functional.pad(heard, (before, end - begin - before - len(heard)))
    features = encoder.encode(padded)
    starts = begin + SAMPLES_PER_STEP * torch.arange(num_steps, device=features.device)
    sounds = (starts > -SAMPLES_PER_STEP) & (starts < len(waveform))
    return features * sounds[:, None]
