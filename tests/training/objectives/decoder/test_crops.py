"""Pieces of clips through the causal cache, against the whole video decoded as a stream."""

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from model.codecs.vae import StreamingDecoder
from tests.worlds.decoders import small_wan
from training.data.conditioning import Batch
from training.objectives.decoder.crop_decoder import CropDecoder, StudentDecoder
from training.objectives.decoder.crops import CropConfig, LatentCrop, draw_crops

REACH = 38
"""Latent frames back, at most, that a pixel of the decoder depends on: two for each of its convolutions, fewer behind
each doubling of the rate (10 before the first block, then 14, 7, 3, 3 and a half)."""
SIDEWAYS = 18
"""Latent positions to each side, without the attention of the middle block, which sees the whole picture."""


def latents_of(*shape: int) -> Tensor:
    return torch.randn(1, 48, *shape, generator=torch.Generator().manual_seed(0))


def batch_of(latents: Tensor, numbers: tuple[int, ...]) -> Batch:
    count, _, frames, _, _ = latents.shape
    return Batch(
        latents=latents,
        clean=torch.zeros(count, frames, dtype=torch.bool),
        text=torch.zeros(count, 0, 0),
        audio=torch.zeros(count, frames, 0, 0),
        free_text=torch.zeros(0, 0),
        weights=torch.ones(count),
        numbers=numbers,
        seed=0,
    )


def without_attention(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    for attention in vae.decoder.mid_block.attentions:
        nn.init.zeros_(attention.proj.weight)
        nn.init.zeros_(attention.proj.bias)
    return vae


@torch.no_grad()
def decode(vae: AutoencoderKLWan, latents: Tensor, *, num_warmup: int) -> Tensor:
    crop = LatentCrop(latents=latents, num_warmup=num_warmup, start=(num_warmup, 0, 0))
    pixels: Tensor = CropDecoder(vae, ())(crop).pixels
    return pixels.clamp(-1, 1)


def test_a_piece_from_the_beginning_is_what_streaming_gives() -> None:
    vae, latents = small_wan(), latents_of(5, 2, 3)
    whole = StreamingDecoder(vae)(latents)
    assert torch.equal(decode(vae, latents[:, :, :3], num_warmup=0), whole[:, :, :9])


def test_a_piece_warmed_up_from_the_beginning_is_what_streaming_gives() -> None:
    vae, latents = small_wan(), latents_of(6, 2, 3)
    whole = StreamingDecoder(vae)(latents)
    assert torch.equal(decode(vae, latents, num_warmup=4), whole[:, :, 13:])


def test_a_shorter_warm_up_comes_nearer_with_each_latent_and_is_exact_from_the_reach_of_the_decoder() -> None:
    vae, start = small_wan(4), REACH + 4
    latents = latents_of(start + 1, 1, 1)
    expected = StreamingDecoder(vae)(latents)[:, :, -4:]
    errors = {}
    for num_warmup in (1, 4, 12, 24, REACH):
        pixels = decode(vae, latents[:, :, start - num_warmup :], num_warmup=num_warmup)
        errors[num_warmup] = float((pixels - expected).square().mean().sqrt())
    assert errors[1] > errors[4] > errors[12] > errors[24] > errors[REACH]
    # Random weights forget slowly: what is left of the clip's beginning after 4 latents is a third here.
    assert errors[24] < 1e-3
    assert errors[REACH] < 1e-6


def test_away_from_its_borders_a_piece_is_the_same_region_of_the_whole_picture() -> None:
    vae = without_attention(small_wan(4))
    cut, width = 3, SIDEWAYS + 6
    latents = latents_of(2, 1, cut + width)
    whole = StreamingDecoder(vae)(latents)[..., 16 * cut :]
    difference = (decode(vae, latents[..., cut:], num_warmup=0) - whole).abs().amax(dim=(0, 1, 2, 3))
    by_position = difference.view(width, 16).amax(dim=1)
    assert by_position[0] > 0.1
    assert by_position[9:].max() < 0.05
    assert by_position[13:].max() < 1e-3
    # Rounding: the convolutions add up otherwise at another width.
    assert by_position[SIDEWAYS:].max() < 1e-5


def test_attention_sees_the_border_from_anywhere_and_both_decoders_see_the_same_piece() -> None:
    vae, latents = small_wan(4), latents_of(1, 1, SIDEWAYS + 8)
    whole = StreamingDecoder(vae)(latents)[..., 32:]
    difference = (decode(vae, latents[..., 2:], num_warmup=0) - whole).abs()
    assert difference[..., 16 * SIDEWAYS :].max() > 1e-3
    crops = [LatentCrop(latents=latents[..., 2:], num_warmup=0, start=(0, 0, 2))]
    twin = StudentDecoder(small_wan(4), vae, (0,))
    torch.testing.assert_close(twin(crops)[0].pixels, CropDecoder(vae, ())(crops[0]).pixels)


def test_no_gradient_flows_through_the_warm_up() -> None:
    vae, latents = small_wan(4), latents_of(4, 2, 2).requires_grad_()
    CropDecoder(vae, ())(LatentCrop(latents=latents, num_warmup=2, start=(2, 0, 0))).pixels.sum().backward()
    assert latents.grad is not None
    per_frame = latents.grad.abs().amax(dim=(0, 1, 3, 4))
    assert per_frame[:2].tolist() == [0, 0]
    assert per_frame[2:].min() > 0


def test_features_are_those_of_the_counted_frames_and_have_the_teachers_channels() -> None:
    teacher, student = small_wan(8), small_wan(4, seed=1)
    module = StudentDecoder(student, teacher, (0, 3))
    crop = LatentCrop(latents=latents_of(4, 2, 3), num_warmup=2, start=(2, 0, 0))
    (ours,), theirs = module([crop]), CropDecoder(teacher, (0, 3))(crop)
    assert [each.shape for each in ours.features] == [each.shape for each in theirs.features]
    assert theirs.features[0].shape == (1, 32, 4, 4, 6)
    assert ours.pixels.shape == theirs.pixels.shape == (1, 3, 8, 32, 48)
    assert all(name.startswith(("decoding.", "projections.")) for name, _ in module.named_parameters())


def test_a_piece_follows_from_its_draw_alone() -> None:
    config = CropConfig(latent_frames=2, latent_height=3, latent_width=2, warmup=2)
    latents = torch.randn(2, 48, 7, 4, 5)
    together = draw_crops(batch_of(latents, (8, 9)), config)
    alone = draw_crops(batch_of(latents[1:], (9,)), config)
    assert together[1].start == alone[0].start
    assert torch.equal(together[1].latents, alone[0].latents)


def test_pieces_lie_everywhere_and_begin_with_the_clip_as_often_as_asked() -> None:
    config = CropConfig(latent_frames=2, latent_height=3, latent_width=2, warmup=2, first_share=0.3)
    latents = torch.arange(7.0 * 4 * 5).reshape(1, 1, 7, 4, 5).expand(800, 48, 7, 4, 5)
    crops = draw_crops(batch_of(latents, tuple(range(800))), config)
    starts = [crop.start for crop in crops]
    assert {frame for frame, _, _ in starts} == set(range(6))
    assert {row for _, row, _ in starts} == {0, 1}
    assert {column for _, _, column in starts} == {0, 1, 2, 3}
    assert sum(frame == 0 for frame, _, _ in starts) / 800 == pytest.approx(0.3, abs=0.05)
    for crop in crops:
        frame, row, column = crop.start
        assert crop.num_warmup == min(frame, 2)
        assert crop.latents.shape == (1, 48, 2 + crop.num_warmup, 3, 2)
        assert crop.latents[0, 0, crop.num_warmup, 0, 0] == latents[0, 0, frame, row, column]


def test_a_clip_smaller_than_a_piece_is_taken_whole() -> None:
    latents = torch.randn(1, 48, 3, 2, 2)
    (crop,) = draw_crops(batch_of(latents, (5,)), CropConfig(first_share=0))
    assert crop.num_warmup == 0
    assert torch.equal(crop.latents, latents)
