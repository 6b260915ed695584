"""Two gloo ranks distil as one does: they draw the same exit steps and stay in step, however the weights lie."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.distillation import distil, distil_overrides, losses, make_distillation

STEPS = 4
"""Two updates of the student, four of the critic."""
TOLERANCE = 1e-4
"""Relative: sums are taken in another order, which AdamW's division then spreads."""

SETUPS: dict[str, dict[str, Any]] = {
    "zero-2": {},
    "zero-3": {"parallel__zero_stage": 3, "dmd__teacher": "zero3"},
    "sequence-parallel": {"parallel__sequence_parallel": 2, "dmd__teacher": "offload"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parallel")
    alone = folder / "alone"
    make_distillation(alone)
    runs = {"alone": alone} | {name: folder / name for name in SETUPS}
    for name in SETUPS:
        shutil.copytree(alone, runs[name])
    distil(alone, steps=STEPS)
    jobs = {str(runs[name]): distil_overrides(runs[name], steps=STEPS, **changes) for name, changes in SETUPS.items()}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launch, "-m", "tests.worlds.rank_worker", json.dumps(jobs), "distill"],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=500,
    )
    return runs


@pytest.mark.parametrize("setup", SETUPS)
def test_two_ranks_follow_one(runs: dict[str, Path], setup: str) -> None:
    alone, together = losses(runs["alone"]), losses(runs[setup])
    assert len(together) == len(alone) == STEPS
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=TOLERANCE)
