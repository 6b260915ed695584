from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan

from curation.encoding.fingerprint import encoders_fingerprint
from model.codecs.audio_encoders import LogMelAudioEncoder
from model.codecs.text import HashedTextEncoder
from model.codecs.vae import lay_out, put_channels_last, wan_vae_config
from model.pretrained.assemble import Encoders, load_encoders


@pytest.fixture
def tiny() -> Encoders:
    return load_encoders("tiny")


def small_vae(**changes: int) -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(
        **(wan_vae_config() | {"base_dim": 8, "decoder_base_dim": 8, "num_res_blocks": 1} | changes)
    )


def test_it_stays_and_does_not_depend_on_the_precision(tiny: Encoders) -> None:
    assert encoders_fingerprint(tiny) == encoders_fingerprint(load_encoders("tiny"))
    halves = load_encoders("tiny")
    halves.text_encoder.to(torch.bfloat16)
    lay_out(halves.vae, "cpu", torch.bfloat16)
    assert encoders_fingerprint(halves) == encoders_fingerprint(tiny)
    wan, laid_out = (replace(tiny, vae=small_vae()) for _ in range(2))
    put_channels_last(laid_out.vae)
    assert encoders_fingerprint(wan) == encoders_fingerprint(laid_out)


def test_other_networks_are_told_apart(tiny: Encoders) -> None:
    changed = load_encoders("tiny")
    changed.text_encoder.table.data += 0.1
    prints = {
        encoders_fingerprint(encoders)
        for encoders in (
            tiny,
            changed,
            replace(tiny, audio_encoder=LogMelAudioEncoder(num_mel_bins=64)),
            replace(tiny, text_encoder=HashedTextEncoder(max_tokens=32)),
            replace(tiny, vae=small_vae()),
        )
    }
    assert len(prints) == 5


def test_an_efficient_decoder_encodes_alike(tiny: Encoders) -> None:
    full, efficient = small_vae(), small_vae(decoder_base_dim=4)
    efficient.encoder.load_state_dict(full.encoder.state_dict())
    efficient.quant_conv.load_state_dict(full.quant_conv.state_dict())
    assert encoders_fingerprint(replace(tiny, vae=full)) == encoders_fingerprint(replace(tiny, vae=efficient))
    efficient.encoder.conv_in.weight.data *= 1.5
    assert encoders_fingerprint(replace(tiny, vae=full)) != encoders_fingerprint(replace(tiny, vae=efficient))
