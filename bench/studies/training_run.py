"""The training that a study starts, as a person would (`python -m training run …`), and what it logged."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.recipes.recipe import Recipe, load_recipe

PROFILE: Final = "local"
STAGE: Final = "720p"

SETTINGS: Final = (
    "batch_size=4",
    "micro_batch=4",
    "optimizer.lr=1.5e-3",
    "optimizer.warmup_steps=200",
    "optimizer.schedule=cosine",
    "flow_matching.steps=0",
    "parallel.precision=float32",
    "parallel.gradient_checkpointing=none",
    "ema.decay=0.998",
    "data.workers=0",
    "data.pools={human: 1, general: 0}",
    "validation.every=1000",
    "validation.videos=0",
    "validation.loss_samples=32",
    "checkpoint.every=500",
    "store_dtype=float32",
    "generation.scheduler=unipc",
    "generation.num_inference_steps=10",
    "generation.guidance_scale=2",
)
"""Overrides of the recipe for random weights and minutes on a CPU. A sample costs a CPU the same in a batch of 4 as in
one of 16 (65 and 73 ms on one core), so small batches give four times the steps: after two minutes of one core
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
    """`key=value` overrides of the recipe that define the study."""
    overrides: tuple[str, ...] = ()
    """Further overrides, which take precedence."""

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.run / "train" / self.stage

    @property
    def model(self) -> Path:
        """The model directory that training leads to."""
        return self.folder / "model"

    def recipe(self) -> Recipe:
        """The recipe of the training, with all overrides."""
        return load_recipe(self.stage, PROFILE, self._settings())

    def command(self) -> list[str]:
        """The command line. Run again, it goes on from the last checkpoint, or has nothing left to do."""
        return [
            *(sys.executable, "-m", "training", "run"),
            *("--stage", self.stage, "--run", str(self.run), "--profile", PROFILE, "--model", self.start),
            *(word for setting in self._settings() for word in ("--set", setting)),
        ]

    def train(self) -> None:
        """Run it to its end.

        Raises:
            ValueError: it failed (its own message is on the screen).
        """
        status = subprocess.run(self.command(), check=False).returncode
        if status:
            raise ValueError(f"training ended with status {status}")

    def logged(self, name: str, *, every: int = 1) -> dict[int, float]:
        """A value that the training logged, by step, for the logged steps that are multiples of `every`."""
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        return {line["step"]: line[name] for line in lines if name in line and line["step"] % every == 0}

    def _settings(self) -> tuple[str, ...]:
        return (*self.settings, f"steps={self.steps}", *self.overrides)


def rounded(values: dict[int, float]) -> dict[str, float]:
    """Values of `TrainingRun.logged` for a results file: keys as text, which JSON needs, and four decimals."""
    return {str(step): round(value, 4) for step, value in values.items()}
