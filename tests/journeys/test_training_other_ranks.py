"""A training goes on by as many ranks as began it bit for bit, and by any other number, however ZeRO lays it out."""

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.distillation import distil, distil_overrides, make_distillation
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.fresh_process import run_ranks, start_ranks
from tests.worlds.recipes import losses, metrics, small_overrides, train
from training.__main__ import main
from training.distributed.train_state import checkpoint_paths

STEPS = 6
TOLERANCE, DISTIL_TOLERANCE = 2e-5, 1e-4
"""Relative, per step, as between one rank and two: sums are taken in another order, which AdamW's division spreads."""
SHARDS = ((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4)

OFFLOADED: dict[str, Any] = {"parallel__offload_optimizer": "true", "ema__device": "cpu"}
PATHS: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "1 to 2 to 4 to 1": [(1, {}), (2, {}), (4, {}), (1, {})],
    "4 to 1 to 2, zero-3": [(4, {"parallel__zero_stage": 3}), (1, {"parallel__zero_stage": 3}), (2, {})],
    "zero-1 to 3 to 2": [
        (2, {"parallel__zero_stage": 1}), (2, {"parallel__zero_stage": 3}), (2, {"parallel__zero_stage": 2}),
    ],
    "4 to 2, offloaded": [(4, OFFLOADED), (2, {}), (2, {**OFFLOADED, "parallel__zero_stage": 3}), (1, OFFLOADED)],
    "shared clips to 1 to shared": [
        (2, {"parallel__sequence_parallel": 2}), (1, {}), (4, {"parallel__sequence_parallel": 2}),
    ],
}  # fmt: skip
"""Each a training of two steps by so many ranks, another two by others, and so on."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By one rank, without a stop."""
    run = tmp_path_factory.mktemp("alone") / "run"
    make_encoded_run(run, shards=SHARDS)
    train(run, steps=2 * STEPS)
    return run


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distillation by one rank, without a stop."""
    run = tmp_path_factory.mktemp("distilled") / "run"
    make_distillation(run)
    distil(run, steps=STEPS)
    return run


def untrained(run: Path, copy: Path) -> Path:
    return Path(shutil.copytree(run, copy, ignore=shutil.ignore_patterns("train", "model")))


def train_together(world: int, *jobs: tuple[str, Path, list[str]]) -> None:
    """Train by so many ranks, one job after the other."""
    run_ranks(
        world, "-m", "tests.worlds.rank_worker", json.dumps([(stage, str(run), each) for stage, run, each in jobs])
    )


@pytest.fixture(scope="module")
def two(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By two ranks: `whole` without a stop, `stopped` with one after half the steps, `half` no further than that."""
    folder = tmp_path_factory.mktemp("two")
    runs = {name: untrained(alone, folder / name) for name in ("whole", "stopped", "half")}
    halfway = small_overrides(steps=STEPS // 2, checkpoint__every=1)
    train_together(
        2,
        ("720p", runs["whole"], small_overrides(steps=STEPS)),
        ("720p", runs["stopped"], halfway),
        ("720p", runs["stopped"], small_overrides(steps=STEPS)),
        ("720p", runs["half"], halfway),
    )
    return folder


def test_as_many_ranks_go_on_bit_for_bit(two: Path) -> None:
    assert len(losses(two / "whole")) == STEPS
    assert losses(two / "stopped") == losses(two / "whole")


def test_fewer_ranks_go_on_within_a_tolerance(two: Path, alone: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(two / "half", steps=STEPS)
    said = capfd.readouterr().err
    assert f"going on from step {STEPS // 2} of {STEPS}" in said
    assert "was written by 2 processes, this training has 1: the states of random generators are left behind" in said
    expected = losses(alone)[:STEPS]
    for one, other in zip(expected, losses(two / "half"), strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE)


def test_what_several_ranks_wrote_is_exported_as_their_result(two: Path, tmp_path: Path) -> None:
    stage, out = two / "whole/train/720p", tmp_path / "out"
    assert main(["export", "--checkpoint", str(stage), "--out", str(out)]) == 0
    names = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert Path("transformer/diffusion_pytorch_model.safetensors") in names
    assert names == {path.relative_to(stage / "model") for path in (stage / "model").rglob("*") if path.is_file()}
    assert all((out / name).read_bytes() == (stage / "model" / name).read_bytes() for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_any_ranks_go_on_within_a_tolerance(alone: Path, tmp_path: Path, path: str) -> None:
    run = untrained(alone, tmp_path / "run")
    for number, (world, changes) in enumerate(PATHS[path], start=1):
        often = {"steps": 2 * number, "micro_batch": 1, "checkpoint__every": 1}
        overrides = small_overrides(**often | changes)
        train_together(world, ("720p", run, overrides))
    expected = losses(alone)[: 2 * len(PATHS[path])]
    assert [line["step"] for line in metrics(run)] == list(range(1, len(expected) + 1))
    for one, other in zip(expected, losses(run), strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("setup", ["offloaded", "zero-3", "shared clips"])
def test_as_many_ranks_go_on_bit_for_bit_in_any_layout(alone: Path, tmp_path: Path, setup: str) -> None:
    setups: dict[str, dict[str, Any]] = {
        "offloaded": OFFLOADED,
        "zero-3": {"parallel__zero_stage": 3, "parallel__precision": "bfloat16"},
        "shared clips": {"parallel__sequence_parallel": 2},
    }
    changes = setups[setup]
    whole, stopped = (untrained(alone, tmp_path / name) for name in ("whole", "stopped"))
    jobs = [(whole, STEPS), (stopped, 3), (stopped, STEPS)]
    train_together(2, *(("720p", run, small_overrides(steps=steps, **changes)) for run, steps in jobs))
    assert len(losses(whole)) == STEPS
    assert losses(stopped) == losses(whole)


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 4])
def test_killed_while_checkpoints_are_written_they_go_on_bit_for_bit(alone: Path, tmp_path: Path, world: int) -> None:
    """All ranks die at once, five times over, at moments that are spread over the steps by chance."""
    whole, run = untrained(alone, tmp_path / "whole"), untrained(alone, tmp_path / "run")
    changes = {"micro_batch": 1, "steps": 60, "checkpoint__every": 1}
    train_together(world, ("720p", whole, small_overrides(**changes)))
    job = json.dumps([("720p", str(run), small_overrides(**changes))])
    seed = random.SystemRandom().randrange(2**32)
    print(f"moments drawn from seed {seed}")
    draw = random.Random(seed)
    for _ in range(5):
        ranks = start_ranks(world, "-m", "tests.worlds.rank_worker", job)
        newest = newest_of(run)
        while newest_of(run) < newest + 3 and all(rank.poll() is None for rank in ranks):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        for rank in ranks:
            rank.kill()
    assert 0 < newest_of(run) < 60
    train_together(world, ("720p", run, small_overrides(**changes)))
    assert losses(run) == losses(whole)
    assert len(losses(run)) == 60


def newest_of(run: Path) -> int:
    """The step of the newest checkpoint."""
    names = [path.name for path in checkpoint_paths(run / "train/720p/checkpoints")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


@pytest.mark.slow
@pytest.mark.parametrize("critic", ["whole", "LoRA"])
def test_student_and_critic_go_on_by_other_ranks(distilled: Path, tmp_path: Path, critic: str) -> None:
    lora = {"dmd__critic_lora_rank": 2} if critic == "LoRA" else {}
    run, expected = untrained(distilled, tmp_path / "run"), distilled
    if lora:
        expected = untrained(distilled, tmp_path / "expected")
        distil(expected, steps=STEPS, **lora)
    # After the student's first update, and before one of its others.
    apart: dict[str, Any] = {} if lora else {"dmd__teacher": "zero3"}
    for world, steps, zero_stage in ((2, 2, 2), (1, 4, 3), (2, 6, 2)):
        changes: dict[str, Any] = {"steps": steps, "parallel__zero_stage": zero_stage, "checkpoint__every": 1}
        train_together(world, ("distill", run, distil_overrides(run, **changes, **apart, **lora)))
    for one, other in zip(losses(expected, "distill"), losses(run, "distill"), strict=True):
        assert other == pytest.approx(one, rel=DISTIL_TOLERANCE)
