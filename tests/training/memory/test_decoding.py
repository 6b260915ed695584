"""What decoders hold, counted on fake tensors and by formula."""

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch._subclasses.fake_tensor import FakeTensorMode

from model.codecs.vae import StreamingDecoder, efficient_vae_config, wan_vae_config
from tests.worlds.live_memory import LiveMemory, SavedTensors
from training.memory.decoding import ENCODER_PARAMETERS, decode_peak, decoder_parameters, saved_by_crop
from training.objectives.decoder.crop_decoder import CropDecoder
from training.objectives.decoder.crops import LatentCrop

CONFIGS = {256: wan_vae_config(), 64: efficient_vae_config()}
SIDE = 64


@pytest.mark.parametrize("width", CONFIGS)
def test_the_peak_of_a_stream_and_the_parameters(width: int) -> None:
    with FakeTensorMode():
        vae = AutoencoderKLWan.from_config(CONFIGS[width])
        latents = torch.empty(1, 48, 3, SIDE // 16, SIDE // 16)
        with torch.no_grad(), LiveMemory() as memory:
            for _ in StreamingDecoder(vae).frames(latents):
                pass
    assert memory.peak == pytest.approx(decode_peak(width, SIDE * SIDE, 4), rel=0.03)
    parameters = sum(each.numel() for each in vae.parameters())
    assert parameters == pytest.approx(ENCODER_PARAMETERS + decoder_parameters(width), rel=0.01)


def test_what_a_narrow_decoder_keeps_for_its_backward() -> None:
    with FakeTensorMode():
        decoder = CropDecoder(AutoencoderKLWan.from_config(CONFIGS[64]), ())
        crop = LatentCrop(latents=torch.empty(1, 48, 4, SIDE // 16, SIDE // 16), num_warmup=1, start=(0, 0, 0))
        with SavedTensors() as saved:
            decoder(crop)
        counted = saved.nbytes(without=decoder)
    assert counted == pytest.approx(saved_by_crop(64, SIDE * SIDE, 3), rel=0.05)
