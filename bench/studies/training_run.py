"""The training that a study starts, as a person would: `python -m training run …`."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STAGE: Final = "720p"

SETTINGS: Final = (
    "batch_size=4",
    "micro_batch=4",
    "optimizer.lr=1.5e-3",
    "optimizer.warmup_steps=200",
    "optimizer.schedule=cosine",
    "parallel.precision=float32",
    "parallel.gradient_checkpointing=false",
    "ema.decay=0.998",
    "data.workers=0",
    "data.pools={human: 1, general: 0}",
    "validation.every=0",
    "checkpoint.every=500",
    "store_dtype=float32",
    "generation.num_inference_steps=10",
    "generation.guidance_scale=2",
)
"""Overrides of the recipe for random weights and minutes on a CPU. A sample costs a CPU the same in a batch of 4 as in
one of 16 (65 and 73 ms on one core), so that small batches give four times the steps: after two minutes of one core
the loss was 0.83 with 4 samples and a rate of 2e-3, 1.77 with 16 and 1e-3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """One training in a run directory."""

    run: Path
    """Run directory with encoded shards."""
    steps: int
    """Optimizer steps."""
    stage: str = STAGE
    """Stage of the training."""
    start: str = "tiny"
    """What it starts from: random weights of the preset, or a model directory."""
    settings: tuple[str, ...] = SETTINGS
    """`key=value` of the recipe that make the study what it is."""
    overrides: tuple[str, ...] = ()
    """Further ones, which win."""

    @property
    def model(self) -> Path:
        """The model directory that training leads to."""
        return self.run / "train" / self.stage / "model"

    def command(self) -> list[str]:
        """What is run. Given again, it goes on from the last checkpoint, or has nothing left to do."""
        settings = (*self.settings, f"steps={self.steps}", *self.overrides)
        return [
            *(sys.executable, "-m", "training", "run"),
            *("--stage", self.stage, "--run", str(self.run), "--profile", "local", "--model", self.start),
            *(word for setting in settings for word in ("--set", setting)),
        ]

    def train(self) -> float:
        """Run it to its end; returns seconds.

        Raises:
            ValueError: it failed (its own message is on the screen).
        """
        start = time.perf_counter()
        status = subprocess.run(self.command(), check=False).returncode
        if status:
            raise ValueError(f"training ended with status {status}")
        return time.perf_counter() - start
