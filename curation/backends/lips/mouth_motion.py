"""Lip sync without a trained network: a frozen linear map compares mouth motion with the sound's bands.

The map is a regularised canonical correlation: the directions in which mouth motion (a quarter of a second each way)
and band levels (the same) correlate most. It was fitted (`curation.backends.lips.fit`) on generated talking heads,
never on real footage, by `python -m bench.studies.curation_sync --fit`. It is small enough to ship: 5,000 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from einops import rearrange

from curation.backends.faces.crops import crop_face
from curation.backends.lips.mouth_features import CROP_MARGIN, CROP_SIZE, MouthMotion, high_pass, measure_mouth
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence, no_evidence
from curation.backends.lips.sound_features import band_levels
from curation.clip.schema import Clip

CONTEXT_FRAMES = 6
"""Frames each way that the map sees: 0.24 s, about a syllable."""
MIN_FRAMES = 50
"""Less than two seconds of face are no evidence."""
SLOW_SOUND_FRAMES = 25.0

MAP_FILE = Path(__file__).with_name("mouth_motion.npz")


@dataclass(frozen=True, kw_only=True, slots=True)
class LipSoundMap:
    """The frozen directions: K of them, over C features in T = 2 · CONTEXT_FRAMES + 1 frames."""

    lips: npt.NDArray[np.float32]
    """`(T · 40, K)`."""
    sound: npt.NDArray[np.float32]
    """`(T · 24, K)`."""
    weights: npt.NDArray[np.float32]
    """`(K,)` canonical correlations of the fit."""

    @classmethod
    def load(cls, path: Path = MAP_FILE) -> LipSoundMap:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            lips, sound, weights = (arrays[name].astype(np.float32) for name in ("lips", "sound", "weights"))
        return cls(lips=lips, sound=sound, weights=weights)

    def save(self, path: Path) -> None:
        """Write as half floats: the third digit of a weight is noise."""
        np.savez_compressed(
            path,
            lips=self.lips.astype(np.float16),
            sound=self.sound.astype(np.float16),
            weights=self.weights.astype(np.float16),
        )


class MouthMotionScorer:
    """Correlates mapped mouth motion with mapped sound over all shifts."""

    def __init__(self, lip_sound_map: LipSoundMap | None = None) -> None:
        self.map = lip_sound_map or LipSoundMap.load()
        self.weights = self.map.weights / self.map.weights.sum()

    def score(self, clip: Clip, samples: npt.NDArray[np.int16]) -> SyncEvidence:
        """See `SyncScorer.score`."""
        if not clip.tracks:
            return no_evidence()
        first, mouth = watch_mouth(clip)
        num_frames = len(mouth.features)
        if num_frames < MIN_FRAMES:
            return no_evidence()
        heard = samples[first * SYNC_RATE_HZ // SYNC_FPS :]
        levels = band_levels(heard, num_frames + 2 * MAX_SHIFT_FRAMES, rate_hz=SYNC_RATE_HZ, fps=SYNC_FPS)
        curve = self.compare(self.map_lips(mouth.features), self.map_sound(level_features(levels)))
        return SyncEvidence(curve=curve, num_frames=num_frames, mouth_speed=float(mouth.speed.mean()))

    def map_lips(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`(N, 40)` mouth features to `(N, K)`."""
        return with_context(features) @ self.map.lips

    def map_sound(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`(N, 24)` sound features to `(N, K)`."""
        return with_context(features) @ self.map.sound

    def compare(self, lips: npt.NDArray[np.float32], sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Weighted mean correlation, in [-1, 1], of lips `(N, K)` with sound `(N + 30, K)` at each shift.

        The sound starts `MAX_SHIFT_FRAMES` before the lips, so every shift compares all N frames: `(31,)`.
        """
        lips = lips - lips.mean(0)
        shifted = np.lib.stride_tricks.sliding_window_view(sound, len(lips), axis=0)
        shifted = shifted - shifted.mean(2, keepdims=True)
        energy = np.sqrt((lips**2).sum(0) * (shifted**2).sum(2)) + 1e-6
        return np.asarray(np.einsum("nk,skn->sk", lips, shifted) / energy @ self.weights, np.float32)


def watch_mouth(clip: Clip) -> tuple[int, MouthMotion]:
    """First frame on which the largest face is seen, and how its mouth moves from there on.

    Raises:
        MediaError: the span cannot be decoded.
    """
    crops = crop_face(clip, clip.tracks[0], fps=SYNC_FPS, size=CROP_SIZE, margin=CROP_MARGIN)
    return crops.first_frame, measure_mouth(crops.images)


def level_features(levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Band levels `(N, 24)` without slow change, about unit spread over the clip."""
    quick = high_pass(levels, SLOW_SOUND_FRAMES)
    return np.asarray(np.clip(quick / (quick.std() + 0.3), -4, 4), np.float32)


def with_context(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`(N, C)` to `(N, 13 · C)`: each frame with its neighbours, edges repeated."""
    padded = np.pad(features, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * CONTEXT_FRAMES + 1, axis=0)
    return np.asarray(rearrange(windows, "n c t -> n (t c)"))
