"""The device that a process takes, and the peak speed of one, with which measured speeds are compared."""

import os
from typing import Final

import torch

PEAK_BF16_FLOPS: Final = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12,
    "RTX 4090": 165e12, "RTX 5090": 209e12,
}  # fmt: skip
"""Dense bf16 with fp32 accumulation, from the data sheets; the first name that is part of the device's name counts."""


def peak_bf16_flops(device: torch.device) -> float | None:
    """Operations a second of a CUDA device at its peak; None where the peak is not known, and on a CPU."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_BF16_FLOPS.items() if key in name), None)


def own_device(name: str | None) -> str:
    """The device of this process: `cuda`, or nothing where there is a GPU, is the one that torchrun gave it."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" else name
