"""Forward and backward of wide blocks; what one more block adds, times the rest, makes the network's.

The optimizer is left out: the step `zero` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import Cost, cost_of, forward_flops, free_memory, network_inputs
from bench.gpu_check.setting import ClipSize, Setting
from model.network.compilation import compile_blocks, compiled
from model.pretrained.presets import build_transformer
from training.distributed.gradient_checkpointing import GradientCheckpointing, checkpoint_gradients

FORWARDS = 3
"""Operations of forward and backward, in forwards; what checkpointing computes again does not count."""

NOISE: Final = "the device was busy with something else"

KEPT: Final[dict[GradientCheckpointing, str]] = {
    "full": "blocks computed again",
    "attention": "all but attention computed again",
    "none": "all kept",
}
"""What to call each kind of checkpointing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How blocks are trained."""

    checkpointing: GradientCheckpointing
    compiled: bool

    def __str__(self) -> str:
        return f"{KEPT[self.checkpointing]}, {'compiled' if self.compiled else 'eager'}"


WAYS = tuple(_Way(checkpointing=kind, compiled=compiled) for compiled in (False, True) for kind in KEPT)


def measure(setting: Setting) -> Iterator[Figure]:
    """Each size and way; out of memory is a figure too."""
    eager: dict[tuple[str, GradientCheckpointing], float] = {}
    for way in WAYS:
        # All that two blocks keep says what thirty would, which is more than any device has: once is enough.
        for clip in setting.clips[:1] if way.checkpointing == "none" else setting.clips:
            what = f"{clip.name}, {way}"
            try:
                yield _slope(setting, clip, way, what, eager)
            except torch.OutOfMemoryError as error:
                yield Figure(what=what, missing=reason(error))
            free_memory(setting.device)


def _slope(
    setting: Setting, clip: ClipSize, way: _Way, what: str, eager: dict[tuple[str, GradientCheckpointing], float]
) -> Figure:
    few, many = setting.training_blocks
    cost_of_few, cost_of_many = (_cost(setting, clip, way, blocks) for blocks in (few, many))
    flops_of_few, flops_of_many = (forward_flops(setting, clip, num_blocks=blocks) for blocks in (few, many))
    added, rest = many - few, setting.network.num_layers - many
    block_s = (cost_of_many.seconds - cost_of_few.seconds) / added
    if block_s <= 0:
        return Figure(what=what, missing=f"{NOISE}: {many} blocks took no longer than {few}")
    also = {"network_s": round(cost_of_many.seconds + rest * block_s, 3)}
    block_gb = None
    if cost_of_few.peak_gb is not None and cost_of_many.peak_gb is not None:
        block_gb = (cost_of_many.peak_gb - cost_of_few.peak_gb) / added
        also["network_gb_of_activations"] = round(cost_of_many.peak_gb + rest * block_gb, 2)
    return Figure(
        what=what,
        seconds=block_s,
        flops_per_s=FORWARDS * (flops_of_many - flops_of_few) / added / block_s,
        peak_gb=block_gb,
        ratio=block_s / eager.setdefault((clip.name, way.checkpointing), block_s),
        reference="eager",
        also=also,
    )


def _cost(setting: Setting, clip: ClipSize, way: _Way, blocks: int) -> Cost:
    """What forward and backward take; memory beside weights, inputs and gradients."""
    with torch.device(setting.device):
        network = build_transformer(setting.with_blocks(blocks)).train()
    compiler = partial(compiled, backend=setting.compiler) if way.compiled else None
    checkpoint_gradients(network, way.checkpointing, compiler)
    if way.compiled:
        compile_blocks(network, backend=setting.compiler)
    inputs = network_inputs(setting, clip, torch.float32)

    def step() -> None:
        with torch.autocast(setting.device.type, torch.bfloat16):
            velocity = network(*inputs, return_dict=False)[0]
            loss = (velocity.float() - inputs[0]).square().mean()
        loss.backward()

    return cost_of(step, setting)
