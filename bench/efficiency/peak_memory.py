"""Peak memory that a piece of work allocates for tensors, on a CUDA device or the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.autograd.profiler import profile


@dataclass(slots=True)
class PeakMemory:
    """Filled when the measured block ends."""

    grown_bytes: int = 0
    """Highest use during the block, less the use at its start."""


@contextmanager
def measure_peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the largest growth of the tensors' memory on `device` within the `with` block.

    On the CPU, what an operation allocates and frees within itself is not seen.
    """
    peak = PeakMemory()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        torch.cuda.synchronize(device)
        peak.grown_bytes = torch.cuda.max_memory_allocated(device) - before
        return
    with profile(profile_memory=True, use_kineto=False) as profiler:
        yield peak
    events = sorted(profiler.function_events or [], key=lambda event: event.time_range.end)
    peak.grown_bytes = max(accumulate((event.self_cpu_memory_usage for event in events), initial=0))
