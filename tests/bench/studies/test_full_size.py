"""The study of the full size, whole, at its tiny size."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.studies import full_size
from bench.studies.full_size import STEPS, Step, measure, run
from bench.studies.full_size_steps import StudyFiles, compare
from bench.studies.made_release import empty_backbone, tiny_size, write_backbone
from bench.studies.made_release import full_size as real_size
from infra.command_line import CommandFailedError
from model.weights.files import weight_files
from tests.worlds.fresh_process import fresh_processes


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps run in processes that have imported torch."""
    monkeypatch.setattr(full_size, "get_context", lambda _: fresh_processes())


def told(run: Path, **options: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"run": run, "size": "tiny", "dtype": "bfloat16"} | options)


def test_the_whole_way_there_and_back(tmp_path: Path) -> None:
    run(told(tmp_path / "study"))
    rows = (tmp_path / "study" / "table.txt").read_text().splitlines()[1:]
    assert [row.partition(":")[0] for row in rows] == [step.name for step in STEPS]
    assert "5 frames of 64x64" in rows[4]
    num_tensors = len(empty_backbone(tiny_size()))
    assert f"{num_tensors} tensors, " in rows[-1]
    # Nothing large is left.
    assert [path.name for path in (tmp_path / "study").rglob("*") if path.is_file()] == ["table.txt"]


def lose_a_file(folder: Path) -> None:
    tensors = {name: tensor for file in weight_files(folder) for name, tensor in load_file(file).items()}
    shutil.rmtree(folder)
    folder.mkdir()
    tensors.popitem()
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")


def change_one_bit(folder: Path) -> None:
    file = weight_files(folder)[0]
    tensors = load_file(file)
    first = next(iter(tensors.values()))
    first.view(torch.int32).flatten()[0] ^= 1
    save_file(tensors, file)


@pytest.mark.parametrize(("damage", "said"), [(lose_a_file, "is missing"), (change_one_bit, "differs")])
def test_what_was_not_kept_is_told(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    write_backbone(tiny_size(), tmp_path / "exported")
    files = StudyFiles(run=tmp_path, size="tiny", dtype="float32")
    assert "all equal" in compare(files)
    damage(tmp_path / "exported")
    with pytest.raises(ValueError, match=said):
        compare(files)


def test_the_real_size_is_the_releases() -> None:
    tensors = empty_backbone(real_size())
    assert len(tensors) == 825
    assert sum(tensor.numel() for tensor in tensors.values()) == 4_999_787_712
    assert tensors["blocks.29.ffn.0.weight"].shape == (14336, 3072)


@pytest.mark.parametrize("step", ["network", "compare"])
def test_a_step_that_fails_is_named(tmp_path: Path, step: str) -> None:
    with pytest.raises(CommandFailedError, match=f"^{step}: .*[Nn]o such"):
        measure(Step(name=step, about=""), tmp_path, "tiny", "float32")


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="exists and is not empty"):
        run(told(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(ValueError, match="needs 50 GB of disk, 1 GB are free"):
        run(told(tmp_path / "new", size="full"))
