"""Two gloo ranks train as one does, however ZeRO shares out what they hold, all in one start."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from tests.worlds.distillation import distil, distil_overrides, make_distillation
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.fresh_process import run_ranks
from tests.worlds.recipes import losses, metrics, small_overrides, train

STEPS, DISTIL_STEPS = 12, 4
"""The latter are two updates of the student and four of the critic."""
TOLERANCE, DISTIL_TOLERANCE = 2e-5, 1e-4
"""Relative, per step: sums are taken in another order, which AdamW's division then spreads."""

SETUPS: dict[str, dict[str, Any]] = {
    "zero-1": {"parallel__zero_stage": 1},
    "zero-2": {"parallel__zero_stage": 2},
    "zero-3": {"parallel__zero_stage": 3},
    "sequence-parallel": {"parallel__sequence_parallel": 2},
    "checkpointing": {"parallel__sequence_parallel": 2, "parallel__gradient_checkpointing": "full"},
}
DISTIL_SETUPS: dict[str, dict[str, Any]] = {
    "zero-2": {},
    "zero-3": {"parallel__zero_stage": 3, "dmd__teacher": "zero3"},
    "sequence-parallel": {"parallel__sequence_parallel": 2, "dmd__teacher": "offload"},
}


USUAL = {"720p": ("zero-2", "sequence-parallel"), "distill": ("zero-2",)}
"""Setups of the default tests; the others are `slow`. Each has one start."""


def setups(stage: str) -> list[Any]:
    names = SETUPS if stage == "720p" else DISTIL_SETUPS
    return [name if name in USUAL[stage] else pytest.param(name, marks=pytest.mark.slow) for name in names]


def together(folder: Path, chosen: dict[str, list[str]]) -> Path:
    """Train by two ranks, in `folder/<stage>/<setup>` each."""
    jobs = []
    for name in chosen["720p"]:
        run = Path(shutil.copytree(folder / "720p/alone", folder / "720p" / name, ignore=TRAINED))
        jobs.append(("720p", str(run), small_overrides(steps=STEPS, **SETUPS[name])))
    for name in chosen["distill"]:
        run = Path(shutil.copytree(folder / "distill/alone", folder / "distill" / name, ignore=TRAINED))
        jobs.append(("distill", str(run), distil_overrides(run, steps=DISTIL_STEPS, **DISTIL_SETUPS[name])))
    run_ranks(2, "-m", "tests.worlds.rank_worker", json.dumps(jobs))
    return folder


TRAINED = shutil.ignore_patterns("train", "model")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`720p/alone` and `distill/alone`, by one rank."""
    folder = tmp_path_factory.mktemp("parallel")
    plain, distillation = folder / "720p/alone", folder / "distill/alone"
    make_encoded_run(plain, shards=((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4))
    make_distillation(distillation)
    train(plain, steps=STEPS)
    distil(distillation, steps=DISTIL_STEPS)
    return folder


@pytest.fixture(scope="module")
def usual(alone: Path) -> Path:
    return together(alone, {stage: list(names) for stage, names in USUAL.items()})


@pytest.fixture(scope="module")
def others(alone: Path) -> Path:
    return together(
        alone,
        {
            "720p": [name for name in SETUPS if name not in USUAL["720p"]],
            "distill": [name for name in DISTIL_SETUPS if name not in USUAL["distill"]],
        },
    )


@pytest.fixture
def folder(request: pytest.FixtureRequest, setup: str) -> Path:
    """Where the setup of a test was trained."""
    stage = "distill" if "distil" in request.node.name else "720p"
    trained: Path = request.getfixturevalue("usual" if setup in USUAL[stage] else "others")
    return trained


def weights(run: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(run / "train/720p/model/transformer/diffusion_pytorch_model.safetensors")
    return tensors


@pytest.mark.parametrize("setup", setups("720p"))
def test_two_ranks_follow_the_loss_curve_of_one(folder: Path, setup: str) -> None:
    one_rank, two_ranks = ([line["loss"] for line in metrics(folder / "720p" / name)] for name in ("alone", setup))
    assert len(one_rank) == STEPS
    assert two_ranks == pytest.approx(one_rank, rel=TOLERANCE)
    assert len(set(one_rank)) == STEPS


@pytest.mark.parametrize("setup", setups("720p"))
def test_the_averaged_weights_that_they_end_with_are_the_same(folder: Path, setup: str) -> None:
    one_rank, two_ranks = weights(folder / "720p/alone"), weights(folder / "720p" / setup)
    assert one_rank.keys() == two_ranks.keys()
    model = next(word for word in small_overrides() if word.startswith("initial=")).partition("=")[2]
    initial = load_file(Path(model) / "transformer/diffusion_pytorch_model.safetensors")
    for name, tensor in one_rank.items():
        # Where gradients are nothing but rounding, AdamW still makes whole steps of them: judge tensors, not numbers.
        moved = float((tensor - initial[name]).norm())
        assert float((two_ranks[name] - tensor).norm()) <= 0.02 * moved + 1e-6, name


@pytest.mark.parametrize("setup", setups("distill"))
def test_two_ranks_distil_as_one_does(folder: Path, setup: str) -> None:
    """They draw the same exit steps and stay in step, however the weights lie."""
    one_rank, two_ranks = (losses(folder / "distill" / name, "distill") for name in ("alone", setup))
    assert len(two_ranks) == len(one_rank) == DISTIL_STEPS
    assert ["generator_loss" in line for line in one_rank] == [True, False, False, True]
    for one, two in zip(one_rank, two_ranks, strict=True):
        assert two == pytest.approx(one, rel=DISTIL_TOLERANCE)
