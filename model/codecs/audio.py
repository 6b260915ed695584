"""Speech: reading it, and which 50 Hz steps of it belong to which latent frame.

Letters: N samples, T audio steps (20 ms each), A features of a step, F latent frames, W steps of a latent's
window.
"""

from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from model.codecs.audio_encoders import STEPS_PER_WINDOW, AudioEncoder
from model.codecs.geometry import TEMPORAL_COMPRESSION
from model.media.sound import Mixer, SoundTrack

SAMPLE_RATE_HZ: Final = 16_000
STEP_RATE_HZ: Final = 50
SAMPLES_PER_STEP: Final = SAMPLE_RATE_HZ // STEP_RATE_HZ

# −80 dBFS: below the noise of a 16-bit recording with the microphone off.
SILENCE_PEAK: Final = 1e-4


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


def num_audio_steps(num_samples: int) -> int:
    """Steps of 20 ms that N samples fill or begin."""
    return -(-num_samples // SAMPLES_PER_STEP)


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


def encode_audio(encoder: AudioEncoder, waveform: Tensor) -> Tensor:
    """All steps (T, A) of a waveform (N,): 30 s windows, concatenated and cut to the true length."""
    features = AudioFeatures(encoder, waveform)
    return features.steps(0, features.num_steps)


class AudioFeatures:
    """The features of one waveform, computed window by window when asked for; the last two windows are kept.

    Whisper's features of four minutes take 300 MB, so those of a long video must not be held at once.
    """

    def __init__(self, encoder: AudioEncoder, waveform: Tensor) -> None:
        if waveform.ndim != 1 or len(waveform) == 0:
            raise ValueError(f"a waveform is (N,) with N > 0, got {tuple(waveform.shape)}")
        self.encoder = encoder
        self.waveform = waveform
        self.num_steps = num_audio_steps(len(waveform))
        self._windows: OrderedDict[int, Tensor] = OrderedDict()

    def steps(self, start: int, stop: int) -> Tensor:
        """Features (T, A) of the steps start … stop − 1 that lie within the sound."""
        start, stop = max(start, 0), min(stop, self.num_steps)
        if start >= stop:
            return self._window(0)[:0]
        first, last = start // STEPS_PER_WINDOW, (stop - 1) // STEPS_PER_WINDOW
        joined = torch.cat([self._window(index) for index in range(first, last + 1)])
        offset = first * STEPS_PER_WINDOW
        return joined[start - offset : stop - offset]

    def of_latents(self, latents: Sequence[int], *, window: int, fps: int | Fraction = 25) -> Tensor:
        """The windows (F, W, A) of latent frames, by their index on the video's own timeline."""
        starts = latent_window_starts(latents, window=window, fps=fps)
        first_step = max(min(starts), 0)
        steps = self.steps(first_step, max(starts) + window)
        return align_audio(steps, latents, window=window, fps=fps, first_step=first_step)

    def _window(self, index: int) -> Tensor:
        if index not in self._windows:
            self._windows[index] = self.encoder.encode_window(self.waveform, index)
            while len(self._windows) > 2:
                self._windows.popitem(last=False)
        return self._windows[index]
