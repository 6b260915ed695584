"""Speech told by Silero VAD, whose weights come in its wheel; song is told from talk by pitch and pauses.

The wheel's own code imports torch and torchaudio, so the network is run from its file.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from curation.backends.speech.detector import HeardSound
from curation.backends.speech.periodicity import RATE_HZ, PeriodicityDetector
from curation.clip.schema import AudioType

WINDOW = 512
"""Samples that get one probability: 32 ms."""
CONTEXT = 64
"""Samples before a window that the network wants to see too: without them it hears next to nothing."""
STATE = (2, 1, 128)
SPEECH_FROM = 0.5
"""Probability from which a window is speech; Silero's own default."""
MIN_SPEECH_FRACTION = 0.25
"""Share of speech from which somebody talks. Measured on labelled recordings, spans of 5 s: talk from 0.38, music and
song up to 0.20."""


class SileroDetector:
    """Silero's probability of speech decides whether somebody talks, `PeriodicityDetector` whether it is rather song.

    Bears calls from several threads: onnxruntime's sessions do, and nothing is kept between calls.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # Windows of one row each: more threads than one only wait for each other.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(_weights()), options, providers=["CPUExecutionProvider"])
        self.periodicity = PeriodicityDetector()

    def listen(self, samples: npt.NDArray[np.int16]) -> HeardSound:
        """See `SpeechDetector.listen`."""
        sound = self.periodicity.listen(samples)
        probabilities = self.probabilities(samples)
        if len(probabilities) == 0:
            return sound
        fraction = float((probabilities >= SPEECH_FROM).mean())
        audio_type, confidence = _classify(sound, fraction)
        sound = replace(sound, audio_type=audio_type, confidence=confidence)
        # Silero hears nothing in song, and a singer's lips are to be compared with the sound like a talker's.
        return replace(sound, speech_fraction=fraction) if audio_type is AudioType.TALKING else sound

    def probabilities(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """`(N,)` mono samples at 16 kHz → `(N // 512,)` probabilities of speech."""
        signal = samples.astype(np.float32) / np.float32(32768)
        windows = signal[: len(signal) // WINDOW * WINDOW].reshape(-1, WINDOW)
        state, before = np.zeros(STATE, np.float32), np.zeros((1, CONTEXT), np.float32)
        found = np.empty(len(windows), np.float32)
        for index, window in enumerate(windows[:, None]):
            inputs = {"input": np.concatenate([before, window], 1), "state": state, "sr": np.array(RATE_HZ, np.int64)}
            probability, state = self.session.run(None, inputs)
            found[index] = probability[0, 0]
            before = window[:, -CONTEXT:]
        return found


def _classify(sound: HeardSound, fraction: float) -> tuple[AudioType, float]:
    """The audio type, and the confidence in it: how far the share of speech is from the limit."""
    if fraction < MIN_SPEECH_FRACTION:
        doubt = fraction / MIN_SPEECH_FRACTION / 2
        # What sounds like talk to pitch and pauses alone is music or song; whether anybody sings is for the lips.
        if sound.audio_type is AudioType.TALKING:
            return AudioType.UNKNOWN, 1 - doubt
        return sound.audio_type, sound.confidence
    if sound.audio_type is AudioType.NONE:
        # Whispered, or hoarse: speech without a pitch.
        return AudioType.TALKING, min(1.0, 0.5 + (fraction - MIN_SPEECH_FRACTION))
    return sound.audio_type, sound.confidence


def _weights() -> Path:
    """The network's file in the installed wheel.

    Raises:
        ValueError: the wheel is not installed.
    """
    package = importlib.util.find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        raise ValueError("the speech detector `silero` needs the package silero-vad: pip install --no-deps silero-vad")
    return Path(package.submodule_search_locations[0]) / "data" / "silero_vad_16k_op15.onnx"
