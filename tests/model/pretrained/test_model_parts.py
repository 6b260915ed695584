import torch

from model.pretrained.model_parts import ModelParts
from tests.worlds.pipelines import small_pipeline


def test_the_autoencoder_has_a_type_of_its_own() -> None:
    parts = ModelParts(model="tiny", device="cpu", dtype="bfloat16").load()
    assert (parts.transformer.dtype, parts.vae.dtype) == (torch.bfloat16, torch.float32)
    # It has not gone through bfloat16 on its way.
    assert torch.equal(parts.vae.basis, small_pipeline().vae.basis)
    parts = ModelParts(model="tiny", device="cpu", vae_dtype="bfloat16").load()
    assert (parts.transformer.dtype, parts.vae.dtype) == (torch.float32, torch.bfloat16)
