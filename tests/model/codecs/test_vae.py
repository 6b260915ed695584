from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.codecs.geometry import latent_frames
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import (
    Autoencoder,
    StreamingDecoder,
    decode_video,
    efficient_vae_config,
    encode_video,
    lay_out,
    put_channels_last,
    vae_dtype,
    wan_vae_config,
)
from model.cost.cost import decoder_cost
from model.pretrained.assemble import load_vae


def small_vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    config = wan_vae_config() | {"base_dim": 4, "decoder_base_dim": 4}
    return AutoencoderKLWan(**config).eval()


@pytest.fixture(params=["wan", "codec"])
def vae(request: pytest.FixtureRequest) -> Autoencoder:
    return small_vae() if request.param == "wan" else PatchDCTCodec()


def random_latents(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(1, 48, frames, 2, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("config", "decoder_parameters"), [(wan_vae_config(), 555049228), (efficient_vae_config(), 34_965_580)]
)
def test_full_size_parameter_counts(config: dict[str, object], decoder_parameters: int) -> None:
    with torch.device("meta"):
        full = AutoencoderKLWan(**config)
    encoder = sum(p.numel() for p in full.encoder.parameters())
    decoder = sum(p.numel() for p in full.decoder.parameters())
    assert (encoder, decoder) == (149627776, decoder_parameters)


def test_the_efficient_decoder_takes_a_sixteenth_of_the_operations() -> None:
    """Paper, Tab. 1: 688.58T and 43.34T multiplications, which is a count at 81 frames of 720 × 1280."""
    with torch.device("meta"):
        full, efficient = (AutoencoderKLWan(**config) for config in (wan_vae_config(), efficient_vae_config()))
    macs = [decoder_cost(vae, 720, 1280).flops(latent_frames(81)) / 2e12 for vae in (full, efficient)]
    assert macs == pytest.approx([688.58, 43.34], rel=0.005)
    assert macs[0] / macs[1] == pytest.approx(688.58 / 43.34, rel=0.005)


def test_streaming_equals_one_shot(vae: Autoencoder) -> None:
    latents = random_latents(7)
    whole = decode_video(vae, latents)
    decoder = StreamingDecoder(vae)
    streamed = torch.cat([decoder(part) for part in torch.split(latents, [3, 1, 2, 1], dim=2)], dim=2)
    assert streamed.shape == whole.shape == (1, 3, 25, 32, 64)
    # The Wan decoder's first 1×1×1 convolution sees one frame instead of seven, which rounds differently.
    assert float((streamed - whole).abs().max()) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_streaming_equals_stock_decoding_bit_for_bit(dtype: torch.dtype) -> None:
    vae = lay_out(small_vae(), "cpu", dtype)
    latents = random_latents(6)
    streamed = StreamingDecoder(vae)(latents)
    assert streamed.dtype == torch.float32
    # The stock decoder gives all frames to its first 1×1×1 convolution at once, which may round differently.
    convolve = vae.post_quant_conv.forward
    vae.post_quant_conv.forward = lambda raw: torch.cat([convolve(one) for one in raw.split(1, dim=2)], dim=2)
    assert torch.equal(streamed, decode_video(vae, latents))


def test_bfloat16_is_near_float32(vae: Autoencoder) -> None:
    latents, pixels = random_latents(4), torch.rand(1, 3, 5, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = (StreamingDecoder(vae)(latents), encode_video(vae, pixels))
    vae = lay_out(vae, "cpu", torch.bfloat16)
    for near, reference in zip((StreamingDecoder(vae)(latents), encode_video(vae, pixels)), exact, strict=True):
        error = (near - reference).norm() / reference.norm()
        assert 0 < error < 0.02


def test_channels_may_lie_innermost(vae: Autoencoder) -> None:
    latents = random_latents(4)
    expected = StreamingDecoder(vae)(latents)
    put_channels_last(vae)
    if isinstance(vae, AutoencoderKLWan):
        kernel = vae.decoder.conv_in.weight
        assert kernel.is_contiguous(memory_format=torch.channels_last_3d)
        assert not kernel.is_contiguous()
    torch.testing.assert_close(StreamingDecoder(vae)(latents), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "device", "dtype"),
    [
        ("auto", "cuda:1", torch.bfloat16),
        ("auto", "cpu", torch.float32),
        ("float32", "cuda", torch.float32),
        ("bfloat16", "cpu", torch.bfloat16),
    ],
)
def test_types_by_name(name: str, device: str, dtype: torch.dtype) -> None:
    assert vae_dtype(name, device) == dtype


def test_one_latent_frame_gives_four_pixel_frames_and_the_first_one(vae: Autoencoder) -> None:
    counts = [pixels.shape[2] for pixels in StreamingDecoder(vae).frames(random_latents(4))]
    assert counts == [1, 4, 4, 4]


def test_reset_starts_a_new_video(vae: Autoencoder) -> None:
    latents = random_latents(3)
    decoder = StreamingDecoder(vae)
    first = decoder(latents)
    assert not torch.equal(decoder(latents)[:, :, :9], first)
    assert torch.equal(decoder.reset()(latents), first)


def test_two_streams_of_one_vae_do_not_mix() -> None:
    vae = small_vae()
    left, right = random_latents(4, seed=1), random_latents(4, seed=2)
    a, b = StreamingDecoder(vae), StreamingDecoder(vae)
    mixed = [(a(x), b(y)) for x, y in zip(torch.split(left, 1, 2), torch.split(right, 1, 2), strict=True)]
    assert torch.equal(torch.cat([x for x, _ in mixed], 2), StreamingDecoder(vae)(left))
    assert torch.equal(torch.cat([y for _, y in mixed], 2), StreamingDecoder(vae)(right))


def test_latents_are_normalised_and_the_mode() -> None:
    vae = small_vae()
    pixels = torch.rand(1, 3, 5, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    raw = vae.encode(pixels).latent_dist.mean
    mean = torch.tensor(vae.config.latents_mean).reshape(1, 48, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).reshape(1, 48, 1, 1, 1)
    torch.testing.assert_close(encode_video(vae, pixels), (raw - mean) / std)
    assert torch.equal(encode_video(vae, pixels), encode_video(vae, pixels))


def test_decode_undoes_the_normalisation() -> None:
    codec = PatchDCTCodec()
    pixels = torch.full((1, 3, 5, 32, 32), 0.3)
    torch.testing.assert_close(decode_video(codec, encode_video(codec, pixels)), pixels, rtol=0, atol=1e-5)


def test_memory_stays_flat_over_ten_clips() -> None:
    vae = small_vae()
    decoder = StreamingDecoder(vae)
    clip = random_latents(4)[..., :1, :1]
    cached = []
    for _ in range(10):
        for pixels in decoder.frames(clip):
            del pixels
        cached.append(decoder.cache_bytes)
    assert len(set(cached[1:])) == 1


def test_what_is_no_whole_wan_autoencoder_is_refused(tmp_path: Path) -> None:
    PatchDCTCodec().save_pretrained(tmp_path / "codec")
    with pytest.raises(ValueError, match="holds a PatchDCTCodec, not AutoencoderKLWan"):
        load_vae(str(tmp_path / "codec"))
    small_vae().save_pretrained(tmp_path / "vae")
    assert load_vae(str(tmp_path / "vae")).config.decoder_base_dim == 4
    weights = tmp_path / "vae/diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    del state["decoder.conv_in.bias"]
    save_file(state, weights)
    with pytest.raises(ValueError, match=r"decoder\.conv_in\.bias"):
        load_vae(str(tmp_path / "vae"))


def test_a_video_of_no_whole_latent_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="1 \\+ 4k"):
        encode_video(PatchDCTCodec(), torch.zeros(1, 3, 6, 32, 32))
