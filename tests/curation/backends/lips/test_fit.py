import numpy as np
import pytest

from curation.backends.lips.fit import NUM_DIRECTIONS, fit_map
from curation.backends.lips.mouth_motion import MouthMotionScorer
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SyncEvidence


def made_pair(seed: int, num_frames: int, late: int) -> tuple[np.ndarray, np.ndarray]:
    """Mouth `(N, 40)` and sound `(N + 30, 24)` that share one hidden signal, the sound `late` frames late."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99)
    to_mouth, to_sound = mixing.normal(size=(1, 40)), mixing.normal(size=(1, 24))
    hidden = rng.normal(size=(num_frames + 60, 1))
    mouth = hidden[30 : 30 + num_frames] @ to_mouth + 3 * rng.normal(size=(num_frames, 40))
    start = 30 - MAX_SHIFT_FRAMES - late
    sound = hidden[start : start + num_frames + 30] @ to_sound
    sound = sound + 3 * rng.normal(size=sound.shape)
    return mouth.astype(np.float32), sound.astype(np.float32)


@pytest.mark.parametrize("late", [-9, 0, 4])
def test_fitted_map_finds_what_mouth_and_sound_share(late: int) -> None:
    inside = slice(MAX_SHIFT_FRAMES, -MAX_SHIFT_FRAMES)
    training = [(mouth, sound[inside]) for mouth, sound in (made_pair(seed, 300, 0) for seed in range(4))]
    fitted = fit_map(training)
    assert fitted.weights.shape == (NUM_DIRECTIONS,)
    scorer = MouthMotionScorer(fitted)
    mouth, sound = made_pair(50, 200, late)
    curve = scorer.compare(scorer.map_lips(mouth), scorer.map_sound(sound))
    assert SyncEvidence(curve=curve, num_frames=200).offset_frames == late
