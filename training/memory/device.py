"""How much of a GPU's memory a training can have."""

from __future__ import annotations

from typing import Final

_HELD: Final = 0.995 * 2**30
"""Bytes of a GB on the label: an H100 sold with 80 GB reports 85.5·10⁹ bytes, an H200 sold with 141 GB 150.7·10⁹."""

USABLE: Final = 0.9
"""The rest is for the CUDA context, the workspaces of cuBLAS and NCCL, and pieces that torch's allocator cannot use."""


def held_by(sold_gb: float) -> float:
    """Bytes that a card sold with so many GB holds."""
    return sold_gb * _HELD


def how_counted(sold_gb: float) -> str:
    """A line on what can be filled of a card."""
    return (
        f"A card sold with {sold_gb:g} GB holds {gb(held_by(sold_gb))} GB of 10^9 bytes; a tenth of that is left to "
        "CUDA, NCCL and the gaps between tensors."
    )


def usable(held: float) -> float:
    """Bytes of these that a plan may fill."""
    return USABLE * held


def gb(num_bytes: float) -> str:
    """In decimal GB, with one digit after the point."""
    return f"{num_bytes / 1e9:,.1f}"
