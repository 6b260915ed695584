"""The codebook's clamp and K-Means, and linear layers in fp8."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import torch
from einops import rearrange
from torch import nn

from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import cost_of, now, relative_error
from bench.gpu_check.setting import Setting
from model.generation.codebook import Codebook
from model.network.fp8 import Fp8Linear
from training.codebook.config import CodebookConfig

KMEANS_ITERATIONS: Final = 5
RUNS: Final = 10
"""Runs timed at once; one takes milliseconds."""


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """The clamp of one overlap, K-Means of a sample; then each shape of linear layer in the network."""
    yield from _clamp(setting)
    yield from _kmeans(setting)
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


def _kmeans(setting: Setting) -> Iterator[Figure]:
    num_vectors, num_centroids = setting.kmeans
    vectors = np.random.default_rng(0).standard_normal((num_vectors, 48), np.float32)
    what = f"K-Means of {num_vectors} vectors, {num_centroids} centroids, {KMEANS_ITERATIONS} iterations"
    try:
        # faiss may be missing where all else is.
        from training.codebook.clustering import cluster, num_gpus  # noqa: PLC0415
    except ImportError as error:
        yield Figure(what=what, missing=reason(error))
        return
    if setting.device.type == "cuda" and not num_gpus():
        yield Figure(what=what, missing="faiss is installed without GPU support")
        return
    started = now(setting.device)
    cluster(vectors, num_centroids, CodebookConfig(centroids=num_centroids, iterations=KMEANS_ITERATIONS))
    seconds = now(setting.device) - started
    flops = 2 * 48 * num_vectors * num_centroids * KMEANS_ITERATIONS
    yield Figure(what=what, seconds=seconds, flops_per_s=flops / seconds, also={"gpus": num_gpus()})


def _linear(setting: Setting, name: str, rows: int, inputs: int, outputs: int) -> Iterator[Figure]:
    with torch.device(setting.device):
        tokens = torch.randn(rows, inputs, dtype=torch.bfloat16)
        linear = nn.Linear(inputs, outputs, dtype=torch.bfloat16)
    plain_s = cost_of(lambda: linear(tokens), setting, runs=RUNS).seconds
    flops = 2 * rows * inputs * outputs
    what = f"{name}: {rows} × {inputs} → {outputs}"
    yield Figure(what=f"{what}, bf16", seconds=plain_s, flops_per_s=flops / plain_s)
    for kind, compiled in (("fp8", False), ("fp8, compiled", True)):
        try:
            layer: nn.Module = Fp8Linear(linear)
            if compiled:
                layer.compile(backend=setting.compiler)
            seconds = cost_of(partial(layer, tokens), setting, runs=RUNS).seconds
            error = relative_error(layer(tokens), linear(tokens))
        except (RuntimeError, NotImplementedError, ValueError) as problem:
            yield Figure(what=f"{what}, {kind}", missing=reason(problem))
            continue
        yield Figure(
            what=f"{what}, {kind}",
            seconds=seconds,
            flops_per_s=flops / seconds,
            error=error,
            ratio=seconds / plain_s,
            reference="bf16",
        )
