"""Dividing this machine's GPUs between its servers, by what each is to see of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from fractions import Fraction

from infra.config import ConfigError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them; none where there is no driver."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def divide(wanted: Mapping[str, float], gpus: list[str]) -> dict[str, str]:
    """For each server the value of CUDA_VISIBLE_DEVICES: whole GPUs of its own, or one that it shares with other parts.

    Args:
        wanted: GPUs by name of the server.
        gpus: those that there are.

    Raises:
        ConfigError: there are too few.
    """
    free = {gpu: Fraction(1) for gpu in gpus}
    given: dict[str, str] = {}
    # Whole ones first: parts would otherwise be spread over GPUs that are wanted whole.
    for name, amount in sorted(wanted.items(), key=lambda item: -item[1]):
        share = min(Fraction(amount).limit_denominator(1000), Fraction(1))
        fitting = [gpu for gpu, left in free.items() if left >= share]
        # A part goes where least is left, so that parts share.
        fitting.sort(key=lambda gpu: free[gpu])
        taken = fitting[: max(1, int(amount))] if amount else []
        if amount and len(taken) < amount:
            total = sum(wanted.values())
            raise ConfigError(
                f"the servers {', '.join(wanted)} want {total:g} GPUs, and this machine has {len(gpus)}: start some of "
                "them here by --only NAME, the others elsewhere, or all with --on-cluster"
            )
        for gpu in taken:
            free[gpu] -= share
        given[name] = ",".join(taken)
    return given
