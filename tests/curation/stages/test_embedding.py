"""Keyframes that a network has looked at, and the embedding of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from curation.backends.models import NO_MODELS
from curation.backends.picture.cut_checker import CutWindow, Picture
from curation.backends.picture.embedder import DIMENSIONS, PictureEmbedder, projected
from curation.clip.fingerprint import embedding
from curation.pipeline import STAGES, StagesConfig
from curation.stages.embedding import EmbedKeyframes
from curation.stages.scenes import SceneDetection
from tests.worlds.synthetic_run import keyframe, source


class MeanColour:
    """Embeds a picture by its mean colour."""

    reach_frames = 3

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        return [0.0 for _ in windows]

    def embed(self, pictures: Sequence[Picture]) -> list[bytes]:
        return [projected(picture.mean((0, 1)).astype(np.float32)) for picture in pictures]


def test_every_keyframe_gets_its_embedding_and_a_clip_their_mean() -> None:
    unit = source("/in/a.mp4", 640, 480, 5.0, keyframes=(keyframe(0.0, 640, 480), keyframe(0.5, 640, 480)))
    assert isinstance(MeanColour(), PictureEmbedder)
    seen = EmbedKeyframes(MeanColour())(unit)
    assert [len(each.embedding or b"") for each in seen.keyframes] == [DIMENSIONS] * 2
    mean = embedding(seen.keyframes)
    assert mean is not None
    assert mean.tobytes() == seen.keyframes[0].embedding
    assert embedding(unit.keyframes) is None


def test_a_source_that_goes_no_further_stays_as_it_is() -> None:
    unit = source("/in/a.mp4", 640, 480, 5.0, keyframes=(keyframe(0.0, 640, 480),))
    rejected = replace(unit).reject("scenes", "combed", 1.0, 0.1)
    assert EmbedKeyframes(MeanColour())(rejected) is rejected


def test_projections_keep_what_is_alike_alike() -> None:
    random = np.random.default_rng(1)
    one, other = random.standard_normal((2, 768)).astype(np.float32)
    near = one + 0.2 * other
    vectors = [np.frombuffer(projected(each), np.int8).astype(float) for each in (one, near, other)]
    own, close, far = (vector / np.linalg.norm(vector) for vector in vectors)
    assert own @ close > 0.9
    assert abs(own @ far) < 0.3
    assert projected(one) == projected(one)


def test_without_a_network_nothing_is_embedded() -> None:
    assert isinstance(STAGES["scenes"](StagesConfig(), NO_MODELS), SceneDetection)
