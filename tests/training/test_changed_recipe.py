"""Going on with a recipe that plans other batches: the place in the epoch would be that of other samples."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.encoded_run import GENERAL, SampleSpec, make_encoded_run
from tests.training.recipes import train

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
