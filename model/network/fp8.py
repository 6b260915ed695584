"""Matrix products in fp8 (e4m3): the linear layers of the blocks, for generation.

Every output channel of the weights has a scale, found once; every token has one, found in each forward. The product is
one of torch's kernels, summed in fp32, and comes out in bf16. Finding a token's scale costs more than a small product
saves unless the compiler fuses it with what comes before.

Letters: M tokens, K input channels, N output channels.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor, nn

from model.network.transformer import SoulTransformer3DModel

E4M3: Final = torch.float8_e4m3fn
LARGEST: Final = torch.finfo(E4M3).max

LAYERS: Final = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")
"""What is quantised in each block: the projections of all attentions and the feed-forward layers."""


class Fp8Linear(nn.Module):
    """A linear layer with weights in fp8, which gives bf16.

    Args:
        linear: the layer whose weights it takes; both widths are multiples of 16.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        if linear.in_features % 16 or linear.out_features % 16:
            raise ValueError(f"fp8 needs widths that 16 divides, got {linear.in_features} and {linear.out_features}")
        quantised, scale = quantise(linear.weight.detach())
        self.register_buffer("quantised", quantised)
        self.register_buffer("scale", scale.T.contiguous())
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().bfloat16(), requires_grad=False)

    def forward(self, states: Tensor) -> Tensor:
        """`(..., K)` to `(..., N)` in bf16."""
        rows, scale = quantise(states.flatten(0, -2))
        product: Tensor = torch._scaled_mm(
            rows,
            cast("Tensor", self.quantised).T,
            scale_a=scale,
            scale_b=cast("Tensor", self.scale),
            bias=self.bias,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )
        return product.view(*states.shape[:-1], -1)


def quantise(rows: Tensor) -> tuple[Tensor, Tensor]:
    """`(M, K)` as e4m3 and the scales `(M, 1)` fp32 by which its rows are to be multiplied; a row's largest is 448."""
    largest = rows.abs().amax(dim=-1, keepdim=True).float()
    scale = largest.clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).clamp(-LARGEST, LARGEST).to(E4M3), scale


def check_fp8(device: torch.device, dtype: torch.dtype) -> None:
    """Try a product on a device.

    Raises:
        ValueError: it has none in fp8 with a scale for each row, or the network is not in bf16; one line.
    """
    if dtype != torch.bfloat16:
        raise ValueError(f"fp8 stands in for bfloat16, and the network is in {str(dtype).removeprefix('torch.')}")
    try:
        Fp8Linear(nn.Linear(32, 16, device=device, dtype=dtype))(torch.ones(32, 32, device=device, dtype=dtype))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"fp8 does not work on {device} with torch {torch.__version__}: it takes a GPU from compute capability 8.9 "
            f"on ({str(error).partition(chr(10))[0]})"
        ) from error


@torch.no_grad()
def to_fp8(network: SoulTransformer3DModel) -> float:
    """Quantise the linear layers of a network's blocks.

    Args:
        network: bf16; changed in place. Its other layers stay.

    Returns:
        How far a velocity moves: the norm of the difference over the norm of the velocity before, on noise.

    Raises:
        ValueError: see `check_fp8`; or a width that 16 does not divide.
    """
    check_fp8(network.device, network.dtype)
    inputs = _noise(network)
    before = network(*inputs, return_dict=False)[0].float()
    for block in network.blocks:
        for name, layer in list(block.named_modules()):
            if name.endswith(LAYERS) and isinstance(layer, nn.Linear):
                block.set_submodule(name, Fp8Linear(layer))
    after = network(*inputs, return_dict=False)[0].float()
    return float((after - before).norm() / before.norm())


def _noise(network: SoulTransformer3DModel) -> tuple[Tensor, ...]:
    """Random latents, timesteps, text and sound, the same every time."""
    config, generator = network.config, torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(network.device, network.dtype)

    latents = random(1, config.in_channels, 3, 32, 32)
    text, sound = random(1, 64, config.text_dim), random(1, 3, config.audio_window, config.audio_dim)
    timesteps = torch.tensor([[0.0, 900.0, 900.0]], device=network.device)
    return latents, timesteps, text, sound
