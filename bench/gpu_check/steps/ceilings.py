"""What the device does at most: one large matrix product, one large copy. And what it and its libraries are."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

import torch

from bench.efficiency.measure import device_memory_bytes, device_name
from bench.gpu_check.figure import Figure
from bench.gpu_check.measuring import cost_of
from bench.gpu_check.setting import Setting
from model.device import peak_bf16_flops

LIBRARIES = ("diffusers", "transformers", "accelerate", "deepspeed", "triton", "flash-attn", "sageattention", "torchao")


def measure(setting: Setting) -> Iterator[Figure]:
    """Versions, then both ceilings."""
    yield Figure(what="machine", also=_machine(setting.device))
    side = setting.matmul_side
    with torch.device(setting.device):
        left, right = (torch.randn(side, side, dtype=torch.bfloat16) for _ in range(2))
    seconds = cost_of(lambda: left @ right, setting, runs=10).seconds
    peak = peak_bf16_flops(setting.device)
    speed = 2 * side**3 / seconds
    yield Figure(
        what=f"product of {side}² bf16",
        seconds=seconds,
        flops_per_s=speed,
        also={} if peak is None else {"of_data_sheet": round(speed / peak, 3)},
    )
    source = torch.randint(256, (setting.copied_bytes,), dtype=torch.uint8, device=setting.device)
    target = torch.empty_like(source)
    seconds = cost_of(lambda: target.copy_(source), setting, runs=4).seconds
    yield Figure(
        what=f"copy of {setting.copied_bytes / 1e9:.1f} GB on the device",
        seconds=seconds,
        also={"read_and_written_gb_per_s": round(2 * setting.copied_bytes / seconds / 1e9)},
    )


def _machine(device: torch.device) -> dict[str, object]:
    return {
        "device": device_name(device),
        "memory_gb": round(device_memory_bytes(device) / 1e9, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call] # torch's own
        **{name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
