from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.codecs.patch_dct import PatchDCTCodec


@pytest.fixture(scope="module")
def codec() -> PatchDCTCodec:
    made: PatchDCTCodec = PatchDCTCodec()
    return made


def encode(codec: PatchDCTCodec, pixels: Tensor) -> Tensor:
    (posterior,) = codec.encode(pixels, return_dict=False)
    latents: Tensor = posterior.mode()
    return latents


def decode(codec: PatchDCTCodec, latents: Tensor) -> Tensor:
    (pixels,) = codec.decode(latents, return_dict=False)
    return pixels


def smooth_video(frames: int, size: int = 64) -> Tensor:
    """(1, 3, T, S, S): a soft blob that moves over a gradient."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    pictures = []
    for t in range(frames):
        blob = torch.exp(-((x - t / frames) ** 2 + y**2) * 4)
        pictures.append(torch.stack([blob - 0.5, x * 0.5, y * 0.3 - 0.2 * blob]))
    return torch.stack(pictures, dim=1)[None]


def test_geometry_is_the_vaes(codec: PatchDCTCodec) -> None:
    latents = encode(codec, torch.zeros(2, 3, 9, 32, 64))
    assert latents.shape == (2, 48, 3, 2, 4)
    assert decode(codec, latents).shape == (2, 3, 9, 32, 64)
    assert encode(codec, torch.zeros(1, 3, 1, 32, 64)).shape == (1, 48, 1, 2, 4)


def test_basis_is_orthonormal(codec: PatchDCTCodec) -> None:
    gram = codec.basis.double().T @ codec.basis.double()
    torch.testing.assert_close(gram, torch.eye(48, dtype=torch.float64), rtol=0, atol=1e-6)


def test_latents_survive_a_round_trip(codec: PatchDCTCodec) -> None:
    latents = encode(codec, smooth_video(9) * 0.5)
    again = encode(codec, decode(codec, latents))
    torch.testing.assert_close(again, latents, rtol=0, atol=2e-4)


def test_smooth_motion_is_reconstructed(codec: PatchDCTCodec) -> None:
    video = smooth_video(13)
    error = (codec(video) - video).square().mean()
    psnr = 10 * torch.log10(4 / error)
    assert psnr > 38


def test_a_constant_colour_is_exact(codec: PatchDCTCodec) -> None:
    video = torch.tensor([0.5, -0.25, 0.75]).reshape(1, 3, 1, 1, 1).expand(1, 3, 5, 32, 32)
    torch.testing.assert_close(codec(video), video, rtol=0, atol=1e-5)


def test_first_frame_is_causal(codec: PatchDCTCodec) -> None:
    video, other = smooth_video(9), smooth_video(9)
    other[:, :, 5:] = torch.rand(other[:, :, 5:].shape) * 2 - 1
    a, b = (encode(codec, v) for v in (video, other))
    assert torch.equal(a[:, :, :2], b[:, :, :2])
    assert not torch.equal(a[:, :, 2], b[:, :, 2])
    assert torch.equal(a[:, :, :1], encode(codec, video[:, :, :1]))


def test_saves_and_loads(codec: PatchDCTCodec, tmp_path: Path) -> None:
    codec.save_pretrained(tmp_path)
    loaded = PatchDCTCodec.from_pretrained(tmp_path)
    assert torch.equal(loaded.basis, codec.basis)
    assert tuple(loaded.config.latents_std) == tuple(codec.config.latents_std)


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (1, 3, 5, 30, 32), (1, 1, 5, 32, 32)])
def test_wrong_shapes_are_named(codec: PatchDCTCodec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 \\+ 4k"):
        codec.encode(torch.zeros(shape))
