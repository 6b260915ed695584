"""One rank's part of a network: what is written, and copies that stay as they are."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.distributed.pieces import Piece, digest_of
from training.distributed.snapshot import Description, HostCopies, Snapshot, open_pieces


def snapshot(values: torch.Tensor, *, rank: int = 0, name: str = "network") -> Snapshot:
    return Snapshot(
        name=name,
        rank=rank,
        description=Description(parameters={"a": (2, 3)}, buffers={"seen": ()}, num_updates=5),
        pieces={
            "weight": [Piece(name="a", start=0, data=values[:4]), Piece(name="b", start=7, data=values[4:])],
            "buffer": [Piece(name="seen", start=0, data=torch.tensor([3]))],
        },
    )


def test_ranks_write_files_of_their_own_and_one_describes_the_network(tmp_path: Path) -> None:
    digests = snapshot(torch.arange(6.0)).write(tmp_path) | snapshot(torch.arange(6.0), rank=1).write(tmp_path)
    names = {"buffer-00000.safetensors", "buffer-00001.safetensors", "network.json"}
    names |= {"weight-00000.safetensors", "weight-00001.safetensors"}
    assert digests.keys() == {f"network/{name}" for name in names}
    assert all(digest == digest_of(tmp_path / name) for name, digest in digests.items())
    assert {path.name for path in (tmp_path / "network").iterdir()} == names


def test_the_description_comes_back(tmp_path: Path) -> None:
    whole = snapshot(torch.arange(6.0))
    whole.write(tmp_path)
    assert Description.read(tmp_path / "network") == whole.description
    with pytest.raises(FileNotFoundError):
        Description.read(tmp_path / "another")


def test_a_copy_stays_as_it_is(tmp_path: Path) -> None:
    weights = nn.Parameter(torch.arange(6.0))
    copy = HostCopies().take(snapshot(weights))
    with torch.no_grad():
        weights.fill_(-1.0)
    copy.write(tmp_path)
    with open_pieces(tmp_path / "network", "weight") as files:
        assert torch.equal(files.read("a", 0, 4), torch.arange(4.0))
        assert torch.equal(files.read("b", 7, 2), torch.tensor([4.0, 5.0]))


def test_the_memory_of_copies_is_used_again_by_the_same_network_alone() -> None:
    copies = HostCopies()
    first, other = copies.take(snapshot(torch.zeros(6))), copies.take(snapshot(torch.zeros(6), name="critic"))
    second = copies.take(snapshot(torch.ones(6)))
    places = [each.pieces["weight"][0].data.data_ptr() for each in (first, other, second)]
    assert places[0] == places[2] != places[1]
    larger = copies.take(snapshot(torch.ones(9)))
    assert larger.pieces["weight"][1].data.numel() == 5
