"""Checkpoints are whole or not there; what is damaged is passed over; so many are kept."""

from pathlib import Path
from typing import cast

import pytest
import torch

from infra.config import ConfigError
from training.distributed.checkpoints import CheckpointConfig, CheckpointError, Checkpoints, TrainState
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import TrainedModel


class Numbers:
    """Stands where a trained network does: one number, in one file."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def save(self, folder: Path) -> None:
        torch.save(torch.tensor(self.value), folder / "numbers.pt")

    def load(self, folder: Path) -> None:
        self.value = float(torch.load(folder / "numbers.pt"))


class Breaking(Numbers):
    """Fails after it has written something, as on a full disk."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        raise OSError(28, "No space left on device", str(folder / "numbers.pt"))


def models(*numbers: Numbers) -> list[TrainedModel]:
    return [cast("TrainedModel", each) for each in numbers]


def checkpoints(folder: Path, keep: int = 2) -> Checkpoints:
    return Checkpoints(folder / "checkpoints", CheckpointConfig(keep=keep), join_ranks())


def save(folder: Path, *steps: int, keep: int = 2) -> Checkpoints:
    """A checkpoint of each step, whose network is the number of the step."""
    written = checkpoints(folder, keep)
    for step in steps:
        written.save(TrainState(step=step, epoch=1, samples=4 * step), models(Numbers(step)))
    return written


def resumed(written: Checkpoints) -> tuple[float, TrainState | None, list[str]]:
    numbers = Numbers()
    seen: list[TrainState] = []
    state, notes = written.resume(models(numbers), seen.append)
    assert seen == ([] if state is None else [state]), "what is taken up is checked before"
    return numbers.value, state, notes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_without_any_nothing_is_taken_up(tmp_path: Path) -> None:
    assert resumed(checkpoints(tmp_path)) == (0.0, None, [])


def test_the_newest_is_taken_up_with_its_state(tmp_path: Path) -> None:
    assert resumed(save(tmp_path, 3, 6)) == (6.0, TrainState(step=6, epoch=1, samples=24), [])


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    save(tmp_path, 1, 2, 3, 10, keep=keep)
    assert names(tmp_path) == [f"step-{step:08d}" for step in (1, 2, 3, 10)][-keep:]


@pytest.mark.parametrize("damage", ["flipped", "longer", "missing", "no manifest", "half a manifest"])
def test_what_is_damaged_is_passed_over_and_told(tmp_path: Path, damage: str) -> None:
    written = save(tmp_path, 3, 6)
    newest = tmp_path / "checkpoints/step-00000006"
    victim, manifest = newest / "numbers.pt", newest / "manifest.json"
    data = victim.read_bytes()
    if damage == "flipped":
        victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "longer":
        victim.write_bytes(data + b"\0")
    elif damage == "missing":
        victim.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text()[:20])
    value, state, (note,) = resumed(written)
    assert (value, state) == (3.0, TrainState(step=3, epoch=1, samples=12))
    assert note.startswith("step-00000006 is damaged (")
    assert note.endswith("going on from the one before it")


def test_when_all_are_damaged_training_begins_anew_and_says_so(tmp_path: Path) -> None:
    written = save(tmp_path, 3, 6)
    for manifest in (tmp_path / "checkpoints").rglob("manifest.json"):
        manifest.unlink()
    value, state, notes = resumed(written)
    assert (value, state, len(notes)) == (0.0, None, 2)


def test_what_cannot_be_written_leaves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    with pytest.raises(CheckpointError, match=r"step-00000006 could not be written: .*No space left .*are untouched"):
        written.save(TrainState(step=6), models(Breaking(6)))
    assert names(tmp_path) == ["step-00000003"]
    assert resumed(written)[0] == 3.0


def test_what_a_killed_process_left_is_removed_and_never_taken_up(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    (tmp_path / "checkpoints/step-00000006.tmp").mkdir()
    (tmp_path / "checkpoints/step-00000006.tmp/numbers.pt").write_bytes(b"half")
    assert resumed(written) == (3.0, TrainState(step=3, epoch=1, samples=12), [])
    assert names(tmp_path) == ["step-00000003"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    written.save(TrainState(step=3, samples=7), models(Numbers(-1)))
    assert resumed(written) == (-1.0, TrainState(step=3, samples=7), [])


def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    written, numbers = save(tmp_path, 3), Numbers()

    def refuse(_state: TrainState) -> None:
        raise ConfigError("it does not fit")

    with pytest.raises(ConfigError, match="it does not fit"):
        written.resume(models(numbers), refuse)
    assert numbers.value == 0.0


def test_global_generators_go_on_where_they_were(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        written = save(tmp_path, 3)
        expected = torch.rand(3)
        resumed(written)
        assert torch.equal(torch.rand(3), expected)
