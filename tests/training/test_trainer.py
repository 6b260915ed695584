"""The loop: what is done in which step, and where it goes on, with an objective that trains nothing."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from infra.config import ConfigError
from infra.storage.write_errors import NotWrittenError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_recipe
from tests.worlds.saved_numbers import Breaking, Numbers
from training.data.batch_plan import BatchPlan
from training.data.conditioning import Batch, LatentsConditioner
from training.data.index import SampleIndex, read_index
from training.data.loader import SampleReader
from training.distributed.checkpoints import Checkpoints
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import TrainedModel
from training.initial import Initial
from training.monitoring.display import Display
from training.monitoring.metrics import Averages
from training.monitoring.throughput import Throughput
from training.monitoring.validation import HeldOut
from training.parts.parts import Finish, Parts
from training.result import Result
from training.trainer import DivergedError, Trainer

STEPS = 7


class NoAverage:
    """Stands where the average does, and knows whether it is in the place of the weights."""

    inside = False

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        self.inside = True
        yield
        self.inside = False


@dataclass
class Recorder:
    """An objective and a viewer that keep what they are given."""

    needs_initial: bool = False
    forwards: float = 3.0
    network: Numbers = field(default_factory=Numbers)
    average: NoAverage = field(default_factory=NoAverage)
    steps: list[tuple[int, int]] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    shown: list[tuple[str, bool, bool]] = field(default_factory=list)
    """What was done, whether under the average, and whether in training mode."""
    breaks_at: int | None = None
    full_disk: bool = False

    def __post_init__(self) -> None:
        self.network.ema = self.average

    @property
    def models(self) -> Sequence[TrainedModel]:
        return [cast("TrainedModel", self.network)]

    @models.setter
    def models(self, _models: Sequence[TrainedModel]) -> None: ...

    def train_step(self, batches: Sequence[Batch], *, step: int, total_steps: int) -> Averages:
        self.steps.append((step, total_steps))
        self.drawn += [number for batch in batches for number in batch.numbers]
        self.network.grad_norm = float("nan") if step == self.breaks_at else 1.0
        averages = Averages()
        averages.add("loss", float(step))
        return averages

    def validation_loss(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch.latents))

    def measure(self, _batch: Batch, _averages: Averages) -> None:
        self.measured.append(self.steps[-1][0] + 1)

    def make(self, held_out: HeldOut) -> Finish:
        key = held_out.sample.key
        self.shown.append((f"made {key}", self.average.inside, self.network.module.training))

        def finish(path: Path, _averages: Averages) -> None:
            self.shown.append((f"written {path.stem}", self.average.inside, self.network.module.training))
            if self.full_disk:
                raise NotWrittenError(f"{path} could not be written")

        return finish


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> SampleReader:
    directory = make_encoded_run(tmp_path_factory.mktemp("trainer"), shards=((SampleSpec(),) * 12,))
    return SampleReader(directory, read_index(directory, held_out_fraction=0))


def trainer(folder: Path, reader: SampleReader, recorder: Recorder, *, initial: str = "one", **changes: Any) -> Trainer:
    recipe = small_recipe(**{"steps": STEPS, "batch_size": 4, "log_every": 3, "checkpoint__every": 2} | changes)
    samples: SampleIndex = reader.samples
    ranks = join_ranks()
    return Trainer(
        recipe=recipe,
        folder=folder,
        ranks=ranks,
        share=recipe.share(ranks),
        plan=BatchPlan(samples=samples, weights={"human": 1.0}, batch_size=recipe.batch_size, seed=recipe.seed),
        reader=reader,
        parts=Parts(
            conditioner=LatentsConditioner(seed=0),
            objective=recorder,
            throughput=Throughput(lambda *_: (1.0, 1.0), torch.device("cpu"), num_ranks=1, ranks_per_sample=1),
            viewer=recorder,
            result=Result(component="transformer"),
        ),
        checkpoints=Checkpoints(folder / "checkpoints", recipe.checkpoint, ranks),
        display=Display(visible=True),
        held_out=[],
        initial=Initial(directory=Path(initial), fingerprint=initial),
    )


def held_out(reader: SampleReader, num: int) -> list[HeldOut]:
    samples = [reader.read(row) for row in range(num)]
    return [HeldOut(sample=each, batch=LatentsConditioner(seed=0).unvaried(each), wav=None) for each in samples]


def logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def saved(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").iterdir())


def test_what_is_due_in_which_step(tmp_path: Path, reader: SampleReader) -> None:
    recorder = Recorder()
    trainer(tmp_path, reader, recorder, audio_delta_every=3, checkpoint__keep=9).train()
    assert recorder.steps == [(step, STEPS) for step in range(STEPS)]
    assert recorder.measured == [3, 6]
    assert logged(tmp_path) == [3, 6, 7], "the last step whatever it is"
    assert saved(tmp_path) == [2, 4, 6, 7]


def test_clips_are_made_under_the_average_and_written_after_it(tmp_path: Path, reader: SampleReader) -> None:
    recorder = Recorder()
    validating = trainer(tmp_path, reader, recorder, validation__every=1, validation__videos=2)
    validating.held_out = held_out(reader, 3)
    validating.validate(Averages())
    keys = [each.sample.key for each in validating.held_out[:2]]
    made = [(f"made {key}", True, False) for key in keys]
    assert recorder.shown == made + [(f"written {key}", False, True) for key in keys]


def test_a_video_that_cannot_be_written_ends_the_training(tmp_path: Path, reader: SampleReader) -> None:
    recorder = Recorder(full_disk=True)
    validating = trainer(tmp_path, reader, recorder, validation__every=1, validation__videos=2)
    validating.held_out = held_out(reader, 2)
    with pytest.raises(NotWrittenError, match="could not be written"):
        validating.validate(Averages())
    assert [what.split()[0] for what, *_ in recorder.shown] == ["made", "made", "written"]


def test_it_goes_on_with_the_draws_that_are_left(tmp_path: Path, reader: SampleReader) -> None:
    whole, first, second = Recorder(), Recorder(), Recorder()
    trainer(tmp_path / "whole", reader, whole).train()
    trainer(tmp_path / "stopped", reader, first, steps=4).train()
    going_on = trainer(tmp_path / "stopped", reader, second)
    going_on.train()
    assert second.steps == [(step, STEPS) for step in range(4, STEPS)]
    assert first.drawn + second.drawn == whole.drawn == list(range(4 * STEPS))
    state = going_on.state
    assert (state.step, state.samples, state.epoch, state.batch) == (STEPS, 4 * STEPS, 2, 1)
    assert logged(tmp_path / "stopped") == [3, 4, 6, 7]


def test_nothing_is_saved_of_a_step_that_breaks_down(tmp_path: Path, reader: SampleReader) -> None:
    with pytest.raises(DivergedError, match=r"^step 4: the loss or its gradient is not a number .*step-00000002$"):
        trainer(tmp_path, reader, Recorder(breaks_at=3)).train()
    assert saved(tmp_path) == [2]


def test_another_initial_model_is_refused_only_where_it_is_needed(
    tmp_path: Path, reader: SampleReader, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer(tmp_path, reader, Recorder(), steps=2).train()
    with pytest.raises(ConfigError, match="was begun with another model than two, which is its teacher"):
        trainer(tmp_path, reader, Recorder(needs_initial=True), initial="two", steps=3).train()
    capfd.readouterr()
    trainer(tmp_path, reader, Recorder(), initial="two", steps=3).train()
    assert "training was begun with another model than two" in capfd.readouterr().err
    # What it was begun with stays on record.
    trainer(tmp_path, reader, Recorder(needs_initial=True), initial="one", steps=4).train()


def test_a_finished_training_makes_no_step(tmp_path: Path, reader: SampleReader) -> None:
    again = Recorder()
    trainer(tmp_path, reader, Recorder()).train()
    trainer(tmp_path, reader, again).train()
    assert again.steps == []
    assert saved(tmp_path) == [6, 7]


@pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])
def test_a_checkpoint_that_cannot_be_written_stops_training(
    tmp_path: Path, reader: SampleReader, *, background: bool
) -> None:
    recorder = Recorder(network=Breaking())
    going_on = trainer(tmp_path, reader, recorder, steps=99, checkpoint__every=98, checkpoint__background=background)
    going_on.state.step = 97
    going_on.total_steps = 99
    with pytest.raises(NotWrittenError, match=r"step-00000098 could not be written: .*No space left"):
        going_on.train()


def test_what_training_waited_for_a_checkpoint_is_logged(tmp_path: Path, reader: SampleReader) -> None:
    trainer(tmp_path, reader, Recorder(), log_every=1, checkpoint__every=3).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "save_s" in line] == [4, 7], "in the line after it"
    assert all(line.get("save_s", 0) >= 0 for line in lines)
