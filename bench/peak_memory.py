"""Peak memory of a piece of work: allocated on a CUDA device, resident on a CPU (Linux).

On the CPU, tensors below 32 MiB may count a little more: the allocator keeps some of what is freed.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(slots=True)
class PeakMemory:
    """Filled when the measured block ends."""

    grown_bytes: int = 0
    """Highest use during the block, less the use at its start."""


@contextmanager
def measure_peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure by how much the memory in use on `device` grew at most within the `with` block."""
    peak = PeakMemory()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        torch.cuda.synchronize(device)
        peak.grown_bytes = torch.cuda.max_memory_allocated(device) - before
        return
    # Freed memory that the allocator still holds would hide the first allocations.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    yield peak
    peak.grown_bytes = _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition(f"{field}:")[2].split()[0])
