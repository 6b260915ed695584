"""Seconds, forwards and memory of a piece of work on a device."""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from bench.efficiency.live_memory import LiveMemory
from bench.efficiency.peak_memory import measure_peak_memory

GIB = 2**30


def median_seconds(work: Callable[[], object], device: torch.device, *, warmup: int, repeats: int) -> float:
    """Median time of `repeats` runs of `work`, after `warmup` untimed runs; waits for the device."""
    for _ in range(warmup):
        work()
    times = []
    for _ in range(repeats):
        wait_for(device)
        start_s = time.perf_counter()
        work()
        wait_for(device)
        times.append(time.perf_counter() - start_s)
    return statistics.median(times)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def grown_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Largest growth of the tensors' memory on `device` during `work`, measured in a run of its own.

    On a CPU, what an operation allocates and frees within itself is not seen.
    """
    if device.type == "cuda":
        with measure_peak_memory(device) as peak:
            work()
        return peak.grown_bytes
    live = LiveMemory()
    with live:
        work()
    return live.peak_bytes


def psnr_db(result: Tensor, reference: Tensor) -> float | None:
    """Peak signal-to-noise ratio in dB, against the reference's own range of values; None where nothing differs."""
    deviation = float((result - reference).square().mean())
    values = float(reference.max() - reference.min())
    return round(10 * math.log10(values**2 / deviation), 1) if deviation else None


@dataclass(slots=True)
class ForwardCount:
    """How often a network has run."""

    value: int = 0
    """Forwards so far."""


@contextmanager
def count_forwards(network: nn.Module) -> Iterator[ForwardCount]:
    """Count the forwards of `network` within the `with` block."""
    count = ForwardCount()

    def add(_module: nn.Module, _inputs: object) -> None:
        count.value += 1

    handle = network.register_forward_pre_hook(add)
    try:
        yield count
    finally:
        handle.remove()


def weight_bytes(*modules: nn.Module) -> int:
    """Memory of the parameters and buffers."""
    return sum(x.nbytes for module in modules for x in (*module.parameters(), *module.buffers()))


def device_memory_bytes(device: torch.device) -> int:
    """Total memory of the device."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def free_memory_bytes(device: torch.device) -> int:
    """Free memory of the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    num_threads = torch.get_num_threads()
    return f"{_processor()}, {num_threads} thread{'s' if num_threads > 1 else ''}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
