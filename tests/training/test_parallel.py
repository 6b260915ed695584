"""Two gloo ranks train as one does, however ZeRO shares out what they hold."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_overrides, train

STEPS = 20
TOLERANCE = 2e-5
"""Relative, per step: sums are taken in another order, which AdamW's division then spreads."""

SETUPS: dict[str, dict[str, Any]] = {
    "zero-1": {"parallel__zero_stage": 1},
    "zero-2": {"parallel__zero_stage": 2},
    "zero-3": {"parallel__zero_stage": 3},
    "sequence-parallel": {"parallel__sequence_parallel": 2},
    "checkpointing": {"parallel__sequence_parallel": 2, "parallel__gradient_checkpointing": "true"},
}


def losses(run: Path) -> list[float]:
    lines = (run / "train" / "720p" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def weights(run: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(
        run / "train" / "720p" / "model" / "transformer" / "diffusion_pytorch_model.safetensors"
    )
    return tensors


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parallel")
    alone = folder / "alone"
    make_encoded_run(alone, shards=((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4))
    runs = {"alone": alone} | {name: folder / name for name in SETUPS}
    for name in SETUPS:
        shutil.copytree(alone, runs[name])
    train(alone, steps=STEPS)
    jobs = {str(runs[name]): small_overrides(steps=STEPS, **changes) for name, changes in SETUPS.items()}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launch, "-m", "tests.worlds.rank_worker", json.dumps(jobs)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=500,
    )
    return runs


@pytest.mark.parametrize("setup", SETUPS)
def test_two_ranks_follow_the_loss_curve_of_one(runs: dict[str, Path], setup: str) -> None:
    alone, together = losses(runs["alone"]), losses(runs[setup])
    assert len(alone) == STEPS
    assert together == pytest.approx(alone, rel=TOLERANCE)
    assert len(set(alone)) == STEPS


@pytest.mark.parametrize("setup", SETUPS)
def test_the_averaged_weights_that_they_end_with_are_the_same(runs: dict[str, Path], setup: str) -> None:
    alone, together = weights(runs["alone"]), weights(runs[setup])
    assert alone.keys() == together.keys()
    initial = load_file(
        runs["alone"] / "train" / "720p" / "initial" / "transformer" / "diffusion_pytorch_model.safetensors"
    )
    for name, tensor in alone.items():
        # Where gradients are nothing but rounding, AdamW still makes whole steps of them: judge tensors, not numbers.
        moved = float((tensor - initial[name]).norm())
        assert float((together[name] - tensor).norm()) <= 0.02 * moved + 1e-6, name
