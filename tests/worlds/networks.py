"""Small networks with every part of the real one, and inputs for them."""

from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from model import SoulTransformer3DModel
from model.network.blocks import SoulTransformerBlock
from model.weights.wan_checkpoints import load_wan

WAN: dict[str, Any] = {
    "num_attention_heads": 4,
    "attention_head_dim": 24,
    "in_channels": 8,
    "out_channels": 8,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
}
AUDIO: dict[str, Any] = {"audio_dim": 10, "audio_window": 12}


def randomise(network: nn.Module) -> None:
    """Move every parameter off its initial value, so that no norm is the identity and no bias zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


def random_wan(**changes: Any) -> WanTransformer3DModel:
    wan = WanTransformer3DModel(**{**WAN, **changes}).eval()
    randomise(wan)
    return wan


def random_soul(**changes: Any) -> SoulTransformer3DModel:
    soul: SoulTransformer3DModel = SoulTransformer3DModel(**{**WAN, **AUDIO, **changes}).eval()
    randomise(soul)
    return soul


def backbone_of(wan: WanTransformer3DModel) -> SoulTransformer3DModel:
    """Soul with the weights of `wan` and silent audio attention."""
    soul: SoulTransformer3DModel = load_wan(wan, zero_audio_output=True, **AUDIO).eval()
    return soul


def blocks_of(soul: SoulTransformer3DModel) -> list[SoulTransformerBlock]:
    return cast("list[SoulTransformerBlock]", list(soul.blocks))


def random_inputs(
    batch_size: int = 2, frames: int = 3, height: int = 8, width: int = 4, text: int = 7
) -> dict[str, Tensor]:
    timestep = torch.rand(batch_size, 1).mul(1000).repeat(1, frames)
    timestep[:, 0] = 0
    return {
        "hidden_states": torch.randn(batch_size, WAN["in_channels"], frames, height, width),
        "timestep": timestep,
        "encoder_hidden_states": torch.randn(batch_size, text, WAN["text_dim"]),
        "audio_embeds": torch.randn(batch_size, frames, AUDIO["audio_window"], AUDIO["audio_dim"]),
    }


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value."""
    difference = (actual - expected).detach().abs().max()
    return float(difference / expected.detach().abs().max())
