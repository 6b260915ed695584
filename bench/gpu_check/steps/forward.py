"""One forward of the whole network: in bf16, as it is and with its blocks compiled, and compiled in fp8."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bench.efficiency.measure import weight_bytes
from bench.efficiency.model_placement import random_transformer
from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import cost_of, forward_flops, free_memory, network_inputs
from bench.gpu_check.setting import ClipSize, Setting
from model.network.compilation import compile_blocks
from model.network.fp8 import to_fp8
from model.network.transformer import SoulTransformer3DModel


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """Both sizes as they are, then both compiled, then both compiled with linear layers in fp8."""
    network = random_transformer(setting.network, setting.placement)
    yield Figure(what="weights", also={"weights_gb": round(weight_bytes(network) / 1e9, 2)})
    eager: dict[str, float] = {}
    for clip in setting.clips:
        yield _measured(setting, network, clip, "eager", eager)
    compile_blocks(network, backend=setting.compiler)
    for clip in setting.clips:
        yield _measured(setting, network, clip, "compiled", eager)
    del network
    free_memory(setting.device)
    try:
        yield from _in_fp8(setting, eager)
    except ValueError as error:
        yield Figure(what="fp8", missing=reason(error))


def _in_fp8(setting: Setting, eager: dict[str, float]) -> Iterator[Figure]:
    network = random_transformer(setting.network, setting.placement)
    error = to_fp8(network)
    yield Figure(what="fp8, velocity of noise against bf16", error=error)
    compile_blocks(network, backend=setting.compiler)
    for clip in setting.clips:
        yield _measured(setting, network, clip, "compiled, fp8", eager)


def _measured(
    setting: Setting, network: SoulTransformer3DModel, clip: ClipSize, kind: str, eager: dict[str, float]
) -> Figure:
    inputs = network_inputs(setting, clip, torch.bfloat16)
    measured = cost_of(lambda: network(*inputs, return_dict=False), setting)
    seconds = measured.seconds
    return Figure(
        what=f"{clip.name}, {kind}",
        seconds=seconds,
        flops_per_s=forward_flops(setting, clip, num_blocks=setting.network.num_layers) / seconds,
        peak_gb=measured.peak_gb,
        ratio=seconds / eager.setdefault(clip.name, seconds),
        reference="eager",
    )
