"""A drawn mouth that follows its voice, heard early and late."""

from pathlib import Path

import numpy as np

from curation.backends.lips.mouth_motion import MouthMotionScorer, level_features, watch_mouth
from curation.backends.lips.scorer import MARGIN_S, MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence
from curation.backends.lips.sound_features import band_levels
from tests.worlds.moving_mouth import frames, source_of, syllables, voice, write_video

SECONDS = 10.0


def test_known_offsets_are_recovered_within_a_frame(tmp_path: Path) -> None:
    envelope = syllables(SECONDS, seed=1)
    talk = write_video(tmp_path / "talk.mp4", frames(envelope, SECONDS), voice(envelope))
    scorer = MouthMotionScorer()
    _, mouth = watch_mouth(source_of(talk, clip_s=SECONDS).clips[0])
    lips = scorer.map_lips(mouth.features)
    margin = np.zeros(round(MARGIN_S * SYNC_RATE_HZ), np.int16)
    found = {}
    for late in range(-10, 11):
        samples = np.concatenate([margin, voice(envelope, late), margin])
        levels = band_levels(samples, len(lips) + 2 * MAX_SHIFT_FRAMES, rate_hz=SYNC_RATE_HZ, fps=SYNC_FPS)
        curve = scorer.compare(lips, scorer.map_sound(level_features(levels)))
        found[late] = SyncEvidence(curve=curve, num_frames=len(lips)).offset_frames
    assert all(abs(offset - late) <= 1 for late, offset in found.items()), found
