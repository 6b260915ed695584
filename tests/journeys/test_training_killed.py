"""Trainings of every objective, killed at any moment, go on bit for bit."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worlds.checkpoints import checkpoint_tensors
from tests.worlds.decoders import distil_decoder, evae_overrides, make_teacher
from tests.worlds.distillation import distil, distil_overrides, make_distillation
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.fresh_process import FreshPython
from tests.worlds.recipes import losses, metrics, small_overrides, train
from tests.worlds.small_model import make_small_model

STEPS = 8
OFTEN = {"steps": STEPS, "checkpoint__every": 3, "checkpoint__keep": 2}
"""With three updates of the critic for each of the student, checkpoints fall before, after and between the latter."""
SHARDS = ((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4)
MOMENTS = ("Trainer.advance", "Snapshot.write", "Trainer.save")
"""After the weights have changed, with a checkpoint half written, and when its writing has begun."""


def make_plain(run: Path) -> None:
    make_encoded_run(run, shards=SHARDS)
    make_small_model(run / "small")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A stage, how its run is prepared, what `--set` makes it small, and how it is trained in this process."""

    stage: str
    make: Callable[[Path], Any]
    overrides: Callable[..., list[str]]
    train: Callable[..., Path]
    networks: frozenset[str]
    changes: dict[str, Any] = field(default_factory=dict)


def plain_overrides(run: Path, **changes: Any) -> list[str]:
    return small_overrides(initial=run / "small", batch_size=2, **changes)


def train_plain(run: Path, **changes: Any) -> Path:
    return train(run, initial=run / "small", batch_size=2, **changes)


STUDENT = frozenset({"transformer", "critic"})
KINDS = {
    "flow matching": Kind(
        stage="720p", make=make_plain, overrides=plain_overrides, train=train_plain,
        networks=frozenset({"transformer"}),
    ),
    "whole critic": Kind(
        stage="distill", make=make_distillation, overrides=distil_overrides, train=distil, networks=STUDENT,
    ),
    "LoRA critic": Kind(
        stage="distill", make=make_distillation, overrides=distil_overrides, train=distil, networks=STUDENT,
        changes={"dmd__critic_lora_rank": 2},
    ),
    "decoder": Kind(
        stage="evae", make=make_teacher, overrides=evae_overrides, train=distil_decoder,
        networks=frozenset({"decoder"}),
    ),
}  # fmt: skip


def killed(name: str, folder: Path) -> dict[str, Path]:
    """Runs of a kind, one killed at each moment, all in one start; and under `undisturbed` one that was not."""
    kind = KINDS[name]
    whole = folder / "undisturbed"
    kind.make(whole)
    runs, jobs = {"undisturbed": whole}, []
    seed = random.SystemRandom().randrange(2**32)
    print(f"{name}: calls drawn from seed {seed}")
    for moment in MOMENTS:
        runs[moment] = Path(shutil.copytree(whole, folder / moment))
        call = random.Random(f"{seed}/{moment}").randint(1, STEPS - 1 if moment == "Trainer.advance" else 2)
        print(f"{name}: killed after call {call} of {moment}")
        overrides = kind.overrides(runs[moment], **OFTEN, **kind.changes)
        jobs.append(
            {"stage": kind.stage, "run": str(runs[moment]), "overrides": overrides, "moment": moment, "call": call}
        )
    trainings = FreshPython("-m", "tests.worlds.killed_trainings", json.dumps(jobs))
    assert trainings.wait(500) == 0, trainings.stderr
    kind.train(whole, **OFTEN, **kind.changes)
    return runs


@pytest.mark.parametrize(
    "name", [name if name == "flow matching" else pytest.param(name, marks=pytest.mark.slow) for name in KINDS]
)
def test_killed_at_a_random_moment_it_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    kind, runs = KINDS[name], killed(name, tmp_path)
    whole = runs.pop("undisturbed")
    last = f"train/{kind.stage}/checkpoints/step-{STEPS:08d}"
    expected = checkpoint_tensors(whole / last)
    assert {file.partition("/")[0] for file in expected} == kind.networks
    for moment, run in runs.items():
        log = run / f"train/{kind.stage}/metrics.jsonl"
        assert not log.is_file() or len(metrics(run, kind.stage)) < STEPS, moment
        assert not (run / last).exists(), moment
        kind.train(run, **OFTEN, **kind.changes)
        assert [line["step"] for line in metrics(run, kind.stage)] == list(range(1, STEPS + 1)), moment
        assert losses(run, kind.stage) == losses(whole, kind.stage), moment
        folder = run / f"train/{kind.stage}/checkpoints"
        assert sorted(path.name for path in folder.iterdir()) == ["step-00000006", f"step-{STEPS:08d}"], moment
        # Weights and optimizer states of all networks, and the average.
        saved = checkpoint_tensors(run / last)
        assert saved.keys() == expected.keys()
        different = [tensor for tensor in expected if not torch.equal(saved[tensor], expected[tensor])]
        assert not different, moment
