"""The codebook's clamp, and linear layers in fp8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from einops import rearrange
from torch import Tensor

from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import cost_of, relative_error
from bench.gpu_check.setting import Setting
from model.generation.codebook import Codebook

FP8: Final = torch.float8_e4m3fn
RUNS: Final = 10
"""Runs timed at once; one takes milliseconds."""


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """The clamp of one overlap; then each shape of linear layer in the network."""
    yield from _clamp(setting)
    width, inner = setting.network.num_attention_heads * setting.network.attention_head_dim, setting.network.ffn_dim
    shapes = (
        ("projection of attention", setting.clips[0].num_tokens, width, width),
        ("feed-forward, widening", setting.clips[0].num_tokens, width, inner),
        ("feed-forward, narrowing", setting.clips[0].num_tokens, inner, width),
        ("projection of text", setting.num_text_tokens, width, width),
    )
    for name, rows, inputs, outputs in shapes:
        yield from _linear(setting, name, rows, inputs, outputs)


def _clamp(setting: Setting) -> Iterator[Figure]:
    num_vectors, num_centroids = setting.codebook
    with torch.device(setting.device):
        latents = torch.randn(1, 48, 2, num_vectors // 2, 1)
        codebook = Codebook(
            centroids=torch.randn(num_centroids, 48),
            counts=torch.ones(num_centroids, dtype=torch.long),
            distance_quantiles=torch.linspace(0, 10, 101),
        )
    vectors = rearrange(latents, "b c f h w -> (b f h w) c").contiguous()
    matrix_s = cost_of(lambda: torch.cdist(vectors, codebook.centroids).argmin(dim=1), setting, runs=RUNS).seconds
    seconds = cost_of(lambda: codebook.clamp(latents, threshold=5.0), setting, runs=RUNS).seconds
    found, wanted = codebook.nearest(vectors), torch.cdist(vectors, codebook.centroids).argmin(dim=1)
    excess = (vectors - codebook.centroids[found]).norm(dim=1) - (vectors - codebook.centroids[wanted]).norm(dim=1)
    yield Figure(
        what=f"clamp of {num_vectors} vectors to {num_centroids} centroids",
        seconds=seconds,
        ratio=seconds / matrix_s,
        reference="search by the full matrix of distances",
        also={"largest_excess_distance": float(excess.max())},
    )


def _linear(setting: Setting, name: str, rows: int, inputs: int, outputs: int) -> Iterator[Figure]:
    with torch.device(setting.device):
        tokens = torch.randn(rows, inputs, dtype=torch.bfloat16)
        weight = torch.randn(outputs, inputs, dtype=torch.bfloat16) / inputs**0.5
    plain_s = cost_of(lambda: tokens @ weight.T, setting, runs=RUNS).seconds
    flops = 2 * rows * inputs * outputs
    what = f"{name}: {rows} × {inputs} → {outputs}"
    yield Figure(what=f"{what}, bf16", seconds=plain_s, flops_per_s=flops / plain_s)
    try:
        scaled_weight, weight_scale = _quantised(weight)
        seconds = cost_of(lambda: _product(tokens, scaled_weight, weight_scale), setting, runs=RUNS).seconds
        error = relative_error(_product(tokens, scaled_weight, weight_scale), tokens @ weight.T)
    except (RuntimeError, NotImplementedError) as problem:
        yield Figure(what=f"{what}, fp8", missing=reason(problem))
        return
    yield Figure(
        what=f"{what}, fp8, tokens scaled row by row",
        seconds=seconds,
        flops_per_s=flops / seconds,
        error=error,
        ratio=seconds / plain_s,
        reference="bf16",
    )


def _quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """fp8 values of each row, and the factors (N, 1) that give the row back."""
    scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / torch.finfo(FP8).max
    return (rows.float() / scale).to(FP8), scale


def _product(tokens: Tensor, weight: Tensor, weight_scale: Tensor) -> Tensor:
    scaled, scale = _quantised(tokens)
    product: Tensor = torch._scaled_mm(
        scaled, weight.T, scale_a=scale, scale_b=weight_scale.T, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    return product
