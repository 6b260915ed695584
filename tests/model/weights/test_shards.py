import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.weights.files import WEIGHTS, weight_files
from model.weights.shards import write_shards


def made(number: int) -> Iterator[tuple[str, Tensor]]:
    return ((f"weight.{each}", torch.full((2, 5), float(each))) for each in range(number))


def read(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for file in weight_files(folder) for name, tensor in load_file(file).items()}


def test_a_file_holds_what_fits_into_it_and_no_more(tmp_path: Path) -> None:
    write_shards(made(5), tmp_path, max_bytes=80)
    names = [f"{WEIGHTS}-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    index = f"{WEIGHTS}.safetensors.index.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, index])
    assert [len(load_file(tmp_path / name)) for name in names] == [2, 2, 1]
    assert json.loads((tmp_path / index).read_text())["metadata"]["total_size"] == 200
    assert {name: float(tensor[0, 0]) for name, tensor in read(tmp_path).items()} == {
        f"weight.{each}": float(each) for each in range(5)
    }


def test_a_tensor_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    write_shards(made(3), tmp_path, max_bytes=1)
    assert len(weight_files(tmp_path)) == 3


def test_what_fits_into_one_file_needs_no_index_and_replaces_what_was_there(tmp_path: Path) -> None:
    write_shards(made(5), tmp_path, max_bytes=80)
    write_shards([("turned", torch.arange(6).reshape(2, 3).T)], tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == f"{WEIGHTS}.safetensors"
    assert file.stat().st_mode & 0o444 == 0o444
    assert read(tmp_path)["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
