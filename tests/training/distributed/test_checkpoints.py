"""Checkpoints are whole or not there; what is damaged is passed over; so many are kept; training does not wait."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from infra.config import ConfigError
from tests.worlds.checkpoints import rewrite_state
from tests.worlds.saved_numbers import OPENED, Breaking, Numbers, Slow, models
from training.distributed.checkpoint_writer import CheckpointError
from training.distributed.checkpoints import CheckpointConfig, Checkpoints
from training.distributed.ranks import join_ranks
from training.distributed.train_state import TrainState

BACKGROUND = pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])


def checkpoints(folder: Path, keep: int = 2, *, background: bool = True) -> Checkpoints:
    return Checkpoints(folder / "checkpoints", CheckpointConfig(keep=keep, background=background), join_ranks())


def save(folder: Path, *steps: int, keep: int = 2, background: bool = True) -> Checkpoints:
    """A checkpoint of each step, whose network is the number of the step."""
    written = checkpoints(folder, keep, background=background)
    for step in steps:
        written.save(TrainState(step=step, epoch=1, samples=4 * step), models(Numbers(step)))
    written.wait()
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


@BACKGROUND
def test_the_newest_is_taken_up_with_its_state(tmp_path: Path, *, background: bool) -> None:
    assert resumed(save(tmp_path, 3, 6, background=background)) == (6.0, TrainState(step=6, epoch=1, samples=24), [])


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    save(tmp_path, 1, 2, 3, 10, keep=keep)
    assert names(tmp_path) == [f"step-{step:08d}" for step in (1, 2, 3, 10)][-keep:]


@pytest.mark.parametrize("damage", ["flipped", "longer", "missing", "no manifest", "half a manifest"])
def test_what_is_damaged_is_passed_over_and_told(tmp_path: Path, damage: str) -> None:
    written = save(tmp_path, 3, 6)
    newest = tmp_path / "checkpoints/step-00000006"
    victim, manifest = newest / "numbers/weight-00000.safetensors", newest / "manifest.json"
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
    written = save(tmp_path, 3, background=False)
    with pytest.raises(CheckpointError, match=r"step-00000006 could not be written: .*No space left .*are untouched"):
        written.save(TrainState(step=6), models(Breaking(6)))
    assert names(tmp_path) == ["step-00000003"]
    assert resumed(written)[0] == 3.0


def test_what_cannot_be_written_in_the_background_is_told_once(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    written.save(TrainState(step=6), models(Breaking(6)))
    wait_until_failed(written)
    with pytest.raises(CheckpointError, match=r"step-00000006 could not be written: .*No space left .*are untouched"):
        written.wait()
    assert not written.has_failed
    written.wait()
    assert names(tmp_path) == ["step-00000003"]
    assert resumed(written)[0] == 3.0


def test_the_next_save_tells_of_the_one_before(tmp_path: Path) -> None:
    written = checkpoints(tmp_path)
    written.save(TrainState(step=6), models(Breaking(6)))
    with pytest.raises(CheckpointError, match="step-00000006 could not be written"):
        written.save(TrainState(step=9), models(Numbers(9)))
    assert names(tmp_path) == []


def wait_until_failed(written: Checkpoints) -> None:
    deadline = time.monotonic() + 30
    while not written.has_failed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_at_the_end_a_problem_is_returned(tmp_path: Path) -> None:
    written = checkpoints(tmp_path)
    written.save(TrainState(step=6), models(Breaking(6)))
    assert "step-00000006 could not be written" in (written.close() or "")
    assert written.close() is None


@pytest.fixture
def opened() -> Iterator[None]:
    OPENED.clear()
    yield
    OPENED.set()


@pytest.mark.usefixtures("opened")
def test_what_is_written_is_what_was_there_when_it_was_saved(tmp_path: Path) -> None:
    written, network = checkpoints(tmp_path), Slow(3.0)
    state = TrainState(step=3)
    written.save(state, models(network))
    # Training has gone on, and nothing is there yet.
    network.number.fill_(4.0)
    state.samples = 5
    assert written.paths() == []
    OPENED.set()
    written.wait()
    assert resumed(written) == (3.0, TrainState(step=3), [])


@pytest.mark.usefixtures("opened")
def test_two_are_not_written_at_once(tmp_path: Path) -> None:
    written = checkpoints(tmp_path)
    written.save(TrainState(step=3), models(Slow(3)))
    OPENED.set()
    written.save(TrainState(step=6), models(Numbers(6)), at_once=True)
    assert names(tmp_path) == ["step-00000003", "step-00000006"]


def test_what_a_killed_process_left_is_removed_and_never_taken_up(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    (tmp_path / "checkpoints/step-00000006.tmp").mkdir()
    (tmp_path / "checkpoints/step-00000006.tmp/state.json").write_bytes(b"half")
    assert resumed(written) == (3.0, TrainState(step=3, epoch=1, samples=12), [])
    assert names(tmp_path) == ["step-00000003"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    written = save(tmp_path, 3)
    written.save(TrainState(step=3, samples=7), models(Numbers(-1)))
    written.wait()
    assert names(tmp_path) == ["step-00000003"]
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


def test_the_generators_of_another_number_of_ranks_are_left_behind_and_told(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        written = save(tmp_path, 3)
        rewrite_state(tmp_path / "checkpoints/step-00000003", world=4)
        torch.manual_seed(5)
        before = torch.get_rng_state()
        value, _, (note,) = resumed(written)
        assert torch.equal(torch.get_rng_state(), before)
    assert value == 3.0
    assert note.startswith("step-00000003 was written by 4 processes, this training has 1: the states of random gen")


@pytest.mark.parametrize(
    ("written", "problem"), [(None, "has DeepSpeed's own format, which is no longer read"), (3, "has the format 3")]
)
def test_another_format_is_refused_and_nothing_begins_anew(tmp_path: Path, written: int | None, problem: str) -> None:
    saved = save(tmp_path, 3, 6)
    rewrite_state(tmp_path / "checkpoints/step-00000006", format=written)
    with pytest.raises(ConfigError, match=problem) as raised:
        resumed(saved)
    assert "\n" not in str(raised.value)
    assert names(tmp_path) == ["step-00000003", "step-00000006"]


def test_the_manifest_has_every_file(tmp_path: Path) -> None:
    save(tmp_path, 3)
    folder = tmp_path / "checkpoints/step-00000003"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert json.loads((folder / "manifest.json").read_text()).keys() == files - {"manifest.json"}
