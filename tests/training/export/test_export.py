"""A model directory of any checkpoint: what a finished training made of it, other weights, and what is in the way."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.generation.codebook import Codebook
from model.weights.directory import check_model_directory
from tests.worlds.checkpoints import rewrite_state
from tests.worlds.decoders import distil_decoder, make_teacher
from tests.worlds.distillation import distil, make_distillation
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import train
from tests.worlds.small_model import make_small_model
from training.__main__ import main
from training.distributed.pieces import PieceFiles
from training.distributed.snapshot import open_pieces
from training.export.stored import Stored
from training.result import Result

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of four steps that has kept the checkpoints of all, with a codebook in its run."""
    run = tmp_path_factory.mktemp("trained") / "run"
    make_encoded_run(run, shards=((SampleSpec(),) * 7,))
    make_small_model(run / "small")
    centroids = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    counts, quantiles = torch.ones(4, dtype=torch.long), torch.arange(3.0)
    Codebook(centroids=centroids, counts=counts, distance_quantiles=quantiles).save(run / "codebook.safetensors")
    train(run, initial=run / "small", steps=4, checkpoint__every=1, checkpoint__keep=9, ema__decay=0.5)
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))


def export(checkpoint: Path, out: Path, *options: str) -> int:
    return main(["export", "--checkpoint", str(checkpoint), "--out", str(out), *options])


def contents(directory: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_of_a_finished_training_it_is_the_result(trained: Path, tmp_path: Path) -> None:
    assert export(trained / "train/720p", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(trained / "train/720p/model")
    assert (tmp_path / "out/codebook.safetensors").is_file()


def test_of_an_earlier_checkpoint_it_is_what_a_shorter_training_makes(trained: Path, tmp_path: Path) -> None:
    shorter = Path(shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("train", "model")))
    train(shorter, initial=shorter / "small", steps=2, ema__decay=0.5)
    assert export(trained / "train/720p/checkpoints/step-00000002", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(shorter / "train/720p/model")


def test_raw_weights_are_those_that_are_trained(trained: Path, tmp_path: Path) -> None:
    assert export(trained / "train/720p/checkpoints", tmp_path / "raw", "--raw") == 0
    check_model_directory(tmp_path / "raw")
    raw, averaged = (load_file(folder / WEIGHTS) for folder in (tmp_path / "raw", trained / "train/720p/model"))
    stored = load_file(trained / "train/720p/checkpoints/step-00000004/transformer/weight-00000.safetensors")
    assert raw.keys() == stored.keys() == averaged.keys()
    assert all(torch.equal(raw[name].flatten(), stored[name]) for name in raw)
    assert all(not torch.equal(raw[name], averaged[name]) for name in raw)


def test_weights_are_stored_as_another_type_except_for_those_that_stay_fp32(trained: Path, tmp_path: Path) -> None:
    assert export(trained / "train/720p", tmp_path / "out", "--dtype", "bfloat16") == 0
    check_model_directory(tmp_path / "out")
    result = load_file(trained / "train/720p/model" / WEIGHTS)
    types = set()
    for name, tensor in load_file(tmp_path / "out" / WEIGHTS).items():
        types.add(tensor.dtype)
        assert torch.equal(tensor, result[name].to(tensor.dtype))
    assert types == {torch.bfloat16, torch.float32}


@pytest.mark.parametrize("critic", [{}, {"dmd__critic_lora_rank": 2}], ids=["whole critic", "LoRA critic"])
def test_of_a_distillation_it_is_the_student(tmp_path: Path, critic: dict[str, int]) -> None:
    make_distillation(tmp_path / "run")
    distil(tmp_path / "run", steps=2, **critic)
    assert export(tmp_path / "run/train/distill", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "run/train/distill/model")


def test_of_a_decoder_it_is_the_whole_autoencoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    make_teacher(run)
    distil_decoder(run, steps=1)
    assert export(run / "train/evae", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(run / "train/evae/model")
    assert export(run / "train/evae", tmp_path / "other", "--dtype", "bfloat16") == 2
    assert "an autoencoder is stored in fp32" in capsys.readouterr().err
    vae = run / "teacher/vae/diffusion_pytorch_model.safetensors"
    save_file({name: each * 2 for name, each in load_file(vae).items()}, vae)
    assert export(run / "train/evae", tmp_path / "other") == 2
    assert "is not the one that training began with, of which the result has a part" in capsys.readouterr().err


def test_where_the_training_began_may_have_moved(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = run / "train/720p/checkpoints/step-00000004"
    state = json.loads((checkpoint / "state.json").read_text())
    rewrite_state(checkpoint, result=state["result"] | {"initial": "/nowhere/small"})
    assert export(run / "train/720p", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "soul: /nowhere/small, which training began with, is not there: say with --model where it is now\n"
    )
    assert export(run / "train/720p", tmp_path / "out", "--model", str(run / "small")) == 0
    assert contents(tmp_path / "out") == contents(run / "train/720p/model")


@pytest.mark.parametrize("kind", ["average", "network.json", "state.json"])
def test_a_damaged_one_is_passed_over_where_any_will_do(
    run: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = run / "train/720p/checkpoints/step-00000004"
    (victim,) = newest.rglob(f"{kind}*")
    data = victim.read_bytes()
    victim.write_bytes(data.replace(b"2", b"3", 1) if victim.suffix == ".json" else data[:-1] + b"~")
    assert export(newest, tmp_path / "out") == 2
    assert f"{newest} is damaged (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert export(run / "train/720p", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert f"{newest} is damaged (" in said.err
    assert "step-00000003" in said.out
    assert export(newest.with_name("step-00000003"), tmp_path / "same") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "same")


def test_damage_in_what_is_not_read_does_not_matter(run: Path, tmp_path: Path) -> None:
    newest = run / "train/720p/checkpoints/step-00000004"
    os.truncate(newest / "transformer/exp_avg-00000.safetensors", 100)
    assert export(newest, tmp_path / "out") == 0


def test_what_is_open_can_be_exported_although_training_removes_it(run: Path) -> None:
    newest = run / "train/720p/checkpoints/step-00000004"
    expected = load_file(run / "train/720p/model" / WEIGHTS)
    with Stored.open(newest, averaged=True) as stored:
        shutil.rmtree(newest)
        assert stored.weights.keys() == expected.keys()
        assert all(torch.equal(each.read(), expected[name]) for name, each in stored.weights.items())


def test_what_has_been_removed_is_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run / "train/720p/checkpoints/step-00000002"

    def removed_first(folder: Path, kind: str) -> PieceFiles:
        shutil.rmtree(checkpoint, ignore_errors=True)
        return open_pieces(folder, kind)

    monkeypatch.setattr("training.export.stored.open_pieces", removed_first)
    assert export(checkpoint, tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        f"soul: {checkpoint} has been removed: training keeps only the newest checkpoints\n"
    )


def test_what_is_in_the_way_is_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert main(["export", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    stage, out = str(run / "train/720p"), str(tmp_path / "out")
    assert "no such directory: /nowhere" in said("--checkpoint", "/nowhere", "--out", out)
    assert "has no checkpoints: give RUN/train/STAGE" in said("--checkpoint", str(tmp_path), "--out", out)
    assert "is already there: give another --out" in said("--checkpoint", stage, "--out", str(run))
    rewrite_state(run / "train/720p/checkpoints/step-00000004", format=None)
    assert "has DeepSpeed's own format" in said("--checkpoint", stage, "--out", out)
    shutil.rmtree(run / "train/720p/checkpoints")
    (run / "train/720p/checkpoints").mkdir()
    assert "has no checkpoint yet" in said("--checkpoint", stage, "--out", out)


def test_it_does_not_disturb_a_training_that_goes_on(run: Path, tmp_path: Path) -> None:
    train(run, initial=run / "small", steps=5, checkpoint__every=1, checkpoint__keep=1, ema__decay=0.5)
    assert export(run / "train/720p", tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(run / "train/720p/model")


def test_only_a_part_of_some_components_is_replaced() -> None:
    assert not Result(component="transformer").keeps_weights
    assert Result(component="vae", replaced=("decoder.",)).keeps_weights
