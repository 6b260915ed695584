"""One transformer block beside diffusers', see `bench.speed.block`."""

from __future__ import annotations

from collections.abc import Iterator

from bench.gpu_check.figure import Figure
from bench.gpu_check.measuring import free_memory
from bench.gpu_check.setting import Setting
from bench.speed.block import measure_blocks


def measure(setting: Setting) -> Iterator[Figure]:
    """Diffusers' block, Soul's without and with audio attention, and that compiled, at each size."""
    for clip in setting.clips:
        costs = measure_blocks(setting.block(clip))
        for cost in costs:
            yield Figure(
                what=f"{clip.name}: {cost.name}",
                seconds=cost.median_s,
                peak_gb=cost.peak_bytes / 1e9,
                ratio=cost.median_s / costs[0].median_s,
                reference=costs[0].name,
            )
        free_memory(setting.device)
