"""The device that a profile names for a torch model."""

from __future__ import annotations

import torch

from infra.config import ConfigError


def torch_device(name: str) -> torch.device:
    """`auto`: the GPU where there is one, else the CPU; otherwise what torch calls it, such as `cuda:1`.

    Raises:
        ConfigError: torch knows no such device, or the machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device {name!r}: auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        num_gpus = torch.cuda.device_count()
        raise ConfigError(f"device {name!r}: torch finds {num_gpus or 'no'} GPU{'s' * (num_gpus > 1)} here")
    return device
