"""The network behind the patch-DCT codec: nothing before it is trained, no memory of earlier frames, any size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import StreamingDecoder, decode_video, encode_video


def video(frames: int = 9) -> Tensor:
    """(1, 3, T, 48, 64): hard edges, which the transform alone blurs."""
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    pictures = [((rows + columns + 3 * t) // 7 % 2 * 1.4 - 0.7).expand(3, -1, -1) for t in range(frames)]
    return torch.stack(pictures, dim=1)[None]


def refined(*, trained: bool) -> PatchDCTCodec:
    torch.manual_seed(0)
    codec: PatchDCTCodec = PatchDCTCodec(refiner_width=8, refiner_blocks=2)
    if trained:
        for parameter in codec.refiner.parameters():
            nn.init.normal_(parameter, std=0.1)
    return codec


def test_untrained_it_changes_nothing() -> None:
    latents = encode_video(PatchDCTCodec(), video())
    torch.testing.assert_close(decode_video(refined(trained=False), latents), decode_video(PatchDCTCodec(), latents))


def test_latents_do_not_depend_on_it() -> None:
    assert torch.equal(encode_video(refined(trained=True), video()), encode_video(PatchDCTCodec(), video()))


def test_a_stream_decodes_as_the_whole_does() -> None:
    codec = refined(trained=True)
    latents = encode_video(codec, video(13))
    whole = decode_video(codec, latents)
    assert not torch.allclose(whole, decode_video(PatchDCTCodec(), latents), atol=0.01)
    decoder = StreamingDecoder(codec)
    streamed = torch.cat([decoder(latents[:, :, :1]), decoder(latents[:, :, 1:])], dim=2)
    torch.testing.assert_close(streamed, whole)
    assert decoder.cache_bytes == 0


def test_it_knows_where_a_cell_lies_in_its_patch() -> None:
    codec = refined(trained=False)
    nn.init.normal_(codec.refiner.get_parameter("place_in_patch"))
    nn.init.normal_(codec.refiner.get_parameter("to_pixels.weight"))
    changed = codec.mended(torch.zeros(1, 3, 4, 96, 96), first=False)
    # Away from the border, which convolutions feel six cells far.
    inner = changed[..., 32:64, 32:64]
    torch.testing.assert_close(inner[..., :16, :16], inner[..., 16:, 16:])
    assert not torch.allclose(inner[..., :4, :4], inner[..., 4:8, 4:8], atol=0.01)


def test_it_is_kept_with_the_codec(tmp_path: Path) -> None:
    codec = refined(trained=True)
    codec.save_pretrained(tmp_path)
    again = PatchDCTCodec.from_pretrained(tmp_path)
    latents = encode_video(codec, video())
    assert torch.equal(decode_video(again, latents), decode_video(codec, latents))


@pytest.mark.parametrize("first", [True, False])
def test_a_first_frame_is_the_mean_of_what_it_becomes(first: bool) -> None:
    codec = refined(trained=True)
    patches = torch.rand(1, 3, 4, 32, 32)
    frames = codec.mended(patches, first=False)
    expected = frames.mean(dim=2, keepdim=True) if first else frames
    torch.testing.assert_close(codec.mended(patches, first=first), expected)
