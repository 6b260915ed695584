"""The measures read back what was drawn, before and after the codec."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
import torch
from einops import rearrange

from bench.studies.talking_faces import measure
from bench.studies.talking_faces.face import Pose, draw_face
from bench.studies.talking_faces.identity import PARTS, colour_distance, draw_identity, lab_of, rgb_of
from bench.studies.talking_faces.performance import HeadMotion, Performance, draw_performance, perform
from bench.studies.talking_faces.prompt import captions
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import decode_video, encode_video

Frames = npt.NDArray[np.uint8]
CODEC = PatchDCTCodec()


def through_codec(frames: Frames) -> Frames:
    pixels = torch.from_numpy(rearrange(frames, "t h w c -> 1 c t h w")).float() / 127.5 - 1
    decoded = decode_video(CODEC, encode_video(CODEC, pixels))
    levels = ((decoded[0] + 1) * 127.5).round().clamp(0, 255).byte()
    return np.ascontiguousarray(rearrange(levels.numpy(), "c t h w -> t h w c"))


def reference_of(performance: Performance, size: int = 96) -> Frames:
    return next(draw_face(performance.identity, [Pose()], size=size))


def performances(num: int) -> list[Performance]:
    rng = np.random.default_rng(5)
    return [draw_performance(rng, duration_s=3.0, speech_seed=1000 + index) for index in range(num)]


def test_the_measures_agree_with_the_truth_before_and_after_the_codec() -> None:
    for performance in performances(8):
        take = perform(performance)
        reference = reference_of(performance)
        opening, shift, frames = take.opening[:73], take.shift[:73], take.frames[:73]
        for seen, least_r, colour in ((frames, 0.99, 0.5), (through_codec(frames), 0.99, 9.0)):
            tracked = measure.track_head(seen, reference)
            measured = measure.mouth_opening(seen, reference, tracked)
            assert measure.correlation(measured, opening) > least_r
            assert np.abs(measured - opening).mean() < 0.05
            assert np.abs(tracked - shift).mean() < 0.6
            assert measure.head_motion(tracked) is performance.motion
            colours = measure.colours_over_time(seen, tracked)
            assert max(measure.identity_distance(colours, measure.part_colours(reference)).values()) < colour


def test_a_mouth_that_moves_to_other_speech_does_not_correlate() -> None:
    rng = np.random.default_rng(6)
    takes = [perform(draw_performance(rng, duration_s=6.0, speech_seed=seed)) for seed in range(2000, 2008)]
    pairs = [
        measure.correlation(first.opening, second.opening)
        for index, first in enumerate(takes)
        for second in takes[index + 1 :]
    ]
    assert abs(np.mean(pairs)) < 0.1
    assert max(pairs) < 0.5


def test_another_identity_is_farther_than_the_codec_moves_colours() -> None:
    takes = [(measure.part_colours(reference_of(p)), perform(p)) for p in performances(6)]
    for index, (wanted, take) in enumerate(takes):
        seen = measure.colours_over_time(through_codec(take.frames[:49]), take.shift)
        own = np.mean(list(measure.identity_distance(seen, wanted).values()))
        others = [np.mean(list(measure.identity_distance(seen, other).values())) for other, _ in takes]
        assert own < 0.3 * min(others[:index] + others[index + 1 :])


def test_a_larger_picture_measures_the_same() -> None:
    performance = performances(1)[0]
    small, large = perform(performance), perform(performance, size=192)
    assert large.frames.shape[1:] == (192, 192, 3)
    measured = [
        measure.mouth_opening(take.frames, reference_of(performance, size))
        for take, size in ((small, 96), (large, 192))
    ]
    assert np.abs(measured[0] - measured[1]).max() < 0.1


def test_blurring_lowers_sharpness() -> None:
    take = perform(performances(1)[0])
    blurred = through_codec(take.frames[:9])
    smoother = np.stack([np.asarray(frame) for frame in take.frames[:9]])
    smoother = ((smoother.astype(np.uint16) + np.roll(smoother, 2, axis=2)) // 2).astype(np.uint8)
    assert measure.sharpness(smoother).mean() < measure.sharpness(take.frames[:9]).mean()
    assert measure.sharpness(blurred).shape == (9,)


def test_identities_differ_and_their_parts_can_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_identity(rng) for _ in range(50)]
    assert len({identity.skin.lab for identity in drawn}) == 50
    for identity in drawn:
        assert colour_distance(identity.hair.lab, identity.background.lab) >= 30
        for part in PARTS:
            pixel = np.array([[rgb_of(identity.lab(part))]], np.uint8)
            # Yellow and teal of the palettes may lie just outside of sRGB.
            assert colour_distance(lab_of(pixel)[0, 0], identity.lab(part)) < 6


def test_performances_are_the_same_for_the_same_seed() -> None:
    first, second = perform(performances(1)[0]), perform(performances(1)[0])
    assert np.array_equal(first.frames, second.frames)
    assert torch.equal(first.waveform, second.waveform)
    assert len(first.waveform) == 3 * 16_000


@pytest.mark.parametrize("motion", list(HeadMotion))
def test_only_the_caption_tells_the_motion_and_it_names_the_colours(motion: HeadMotion) -> None:
    identity = performances(1)[0].identity
    texts = captions(identity, motion)
    assert f"{identity.hair.name} hair" in texts[0]
    for other in HeadMotion:
        assert (texts[0] in captions(identity, other)) == (other is motion)
    assert all(len(re.findall(r"\w+|[^\w\s]", text)) < 64 for text in texts)


def test_correlation_of_a_constant_is_zero() -> None:
    assert measure.correlation([1, 1, 1], [1, 2, 3]) == 0.0
    assert measure.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)


def test_opening_jumps_are_the_first_two_changes() -> None:
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    frames[1:] = 30
    frames[2:, :4] = 28
    frames[3] = 255
    assert measure.opening_jumps(frames) == (30.0, 1.0)


def test_head_jumps_are_the_first_two_shifts() -> None:
    assert measure.head_jumps(np.array([[1.0, 1.0], [4.0, 5.0], [4.0, 4.0], [9.0, 9.0]])) == (5.0, 1.0)
