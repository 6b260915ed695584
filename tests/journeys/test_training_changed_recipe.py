"""Going on with a recipe that plans other batches: the place in the epoch would be that of other samples."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.config import ConfigError
from tests.worlds.encoded_run import GENERAL, SampleSpec, make_encoded_run
from tests.worlds.recipes import small_options, train
from training.__main__ import main

ANEW = "this epoch begins anew"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("stopped") / "run"
    make_encoded_run(run, shards=((SampleSpec(),) * 12, (GENERAL,) * 4))
    train(run, steps=2, batch_size=2)
    return run


@pytest.mark.parametrize(
    ("changes", "is_anew"),
    [
        ({}, False),
        ({"optimizer__lr": 1e-4, "micro_batch": 1}, False),
        ({"batch_size": 4}, True),
        ({"seed": 1}, True),
        ({"data__pools": "{human: 3, general: 1}"}, True),
        ({"data__held_out_fraction": 0.3}, True),
    ],
)
def test_other_batches_begin_the_epoch_anew(
    stopped: Path, tmp_path: Path, changes: dict[str, Any], *, is_anew: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run", symlinks=True))
    capfd.readouterr()
    train(run, **{"steps": 3, "batch_size": 2} | changes)
    assert (ANEW in capfd.readouterr().err) == is_anew
    state = json.loads((run / "train/720p/checkpoints/step-00000003/state.json").read_text())
    assert (state["epoch"], state["batch"]) == (0, 1 if is_anew else 3)


def test_epochs_end_where_they_should_with_batches_of_another_size(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 12,))
    changes = {"steps": "null", "data__held_out_fraction": 0}
    train(tmp_path, epochs=1, batch_size=2, **changes)
    # The second epoch, of three batches, comes behind the six of the first.
    train(tmp_path, epochs=2, batch_size=4, **changes)
    assert "going on from step 6 of 9" in capfd.readouterr().err
    state = json.loads((tmp_path / "train/720p/checkpoints/step-00000009/state.json").read_text())
    assert (state["epoch"], state["batch"], state["samples"]) == (2, 0, 24)
    train(tmp_path, epochs=2, batch_size=2, **changes)
    assert "going on from step 9 of 9" in capfd.readouterr().err


def test_what_has_changed_is_told_in_one_line(stopped: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run", symlinks=True))
    capfd.readouterr()
    train(run, steps=2, batch_size=2)
    assert "the recipe has changed" not in capfd.readouterr().err
    train(run, steps=3, batch_size=2, parallel__zero_stage=2, parallel__precision="bfloat16", optimizer__lr=1e-4)
    said = capfd.readouterr().err.splitlines()
    assert (
        "the recipe has changed since step 2: steps 2, now 3; optimizer.lr 0.001, now 0.0001; parallel.zero_stage 1, "
        "now 2; parallel.precision float32, now bfloat16"
    ) in said
    assert "going on from step 2 of 3" in said


def test_fewer_steps_than_were_made_are_said(stopped: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run", symlinks=True))
    train(run, steps=1, batch_size=2)
    assert "2 steps have been made, more than the 1 that are asked for: there is nothing to train" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {
                "objective": "dmd", "generation.scheduler": "few-step", "generation.guidance_scale": 1,
                "dmd.teacher": "resident",
            },
            "objective was flow_matching, now dmd: its checkpoint has the networks of that one",
        ),
    ],
)  # fmt: skip
def test_what_cannot_change_is_one_line_and_status_2(
    stopped: Path, tmp_path: Path, changes: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run", symlinks=True))
    capsys.readouterr()
    assert main(small_options(run, **{"steps": 3, "batch_size": 2} | changes)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{run}/train/720p cannot go on with this recipe: {problem}" in line
    assert "move the folder away to begin anew" in line


def test_latents_of_another_model_are_refused(stopped: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run", symlinks=True))
    shutil.rmtree(run / "encoded")
    make_encoded_run(run, shards=((SampleSpec(),) * 12, (GENERAL,) * 4), encoders="another")
    with pytest.raises(ConfigError, match="encoders was hand-made, now another: it has learnt the latents of that"):
        train(run, steps=3, batch_size=2)
