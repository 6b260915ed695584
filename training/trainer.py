"""The training loop, the same for every stage."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.storage.write_errors import NotWrittenError
from training.data.batch_plan import BatchPlan
from training.data.damage import Damage
from training.data.loader import MicroBatch, SampleReader, Share, load_steps
from training.distributed.checkpoints import Checkpoints
from training.distributed.ranks import Ranks
from training.distributed.train_state import TrainState
from training.initial import Initial
from training.monitoring.display import Display
from training.monitoring.log import Log, open_logs
from training.monitoring.metrics import Averages
from training.monitoring.validation import HeldOut, share_of
from training.parts.parts import Finish, Parts
from training.recipes.changes import ORDER, Flat, changed, flat, refusal
from training.recipes.recipe import Recipe
from training.result import Origin


class DivergedError(CommandFailedError):
    """The loss or its gradient is not a number; the last checkpoint is from before."""


class StoppedError(CommandFailedError):
    """Training was asked to stop, and has saved where it is."""

    status: ClassVar[int] = 143


@dataclass(kw_only=True)
class Trainer:
    """Takes an objective through the data; all ranks run it alike."""

    recipe: Recipe
    folder: Path
    """Of the stage: checkpoints, metrics, validation videos."""
    ranks: Ranks
    share: Share
    plan: BatchPlan
    reader: SampleReader
    parts: Parts
    checkpoints: Checkpoints
    display: Display
    held_out: Sequence[HeldOut]
    initial: Initial
    state: TrainState = field(default_factory=TrainState)
    total_steps: int = 0
    """Known when it is known where training goes on."""
    logs: Log | None = None
    """On the main process, once it is known where training goes on."""
    _is_first: bool = True
    _asked_to_stop: bool = False
    _stops: bool = False

    def train(self) -> None:
        """Go on from the newest checkpoint, to the end.

        Raises:
            ConfigError: the newest checkpoint does not fit, or was begun with another model that is still needed.
            DivergedError: the gradient is not finite.
            DamagedError: too many samples are damaged, or nearly all of a training of few steps.
            StoppedError: a SIGTERM came; a checkpoint has been written.
            NotWrittenError: a checkpoint or something else could not be written.
            CommandFailedError: the log could not be written.
        """
        self.resume()
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        averages = Averages()
        parts, objective = self.parts, self.parts.objective
        for batches, wait_s in self.steps():
            start = time.perf_counter()
            conditioned = [parts.conditioner(batch.samples).to(self.ranks.device) for batch in batches]
            averages.merge(objective.train_step(conditioned, step=self.state.step, total_steps=self.total_steps))
            self.check_finite(batches)
            self.advance(batches)
            seconds = time.perf_counter() - start + wait_s
            parts.throughput.add(averages, batches, forwards=objective.forwards, seconds=seconds, wait_s=wait_s)

            step, is_last = self.state.step, self.state.step == self.total_steps
            self.show_first(averages, seconds)
            if step % self.recipe.audio_delta_every == 0:
                parts.viewer.measure(conditioned[0], averages)
            if self.is_due(self.recipe.validation.every) or (is_last and self.recipe.validation.every):
                self.validate(averages)
            if self.is_due(self.recipe.log_every) or is_last:
                self.log(averages)
            if is_last:
                # Before the checkpoint is written: the same command would make a result of it.
                self.damage.check_result(self.state.skipped, self.state.samples)
            ends = is_last or self._stops
            if self.is_due(self.recipe.checkpoint.every) or ends:
                self.save(averages, at_once=ends)
            if self._stops and not is_last:
                raise StoppedError(f"stopped at step {step} of {self.total_steps}; the same command goes on")
        self.damage.check_result(self.state.skipped, self.state.samples)

    def steps(self) -> Iterator[tuple[list[MicroBatch], float]]:
        """The steps that are left: this rank's micro-batches, and the seconds it waited for them."""
        loader = load_steps(
            self.plan, self.reader, self.share, self.recipe.data, epoch=self.state.epoch, batch=self.state.batch
        )
        for _ in range(self.state.step, self.total_steps):
            start = time.perf_counter()
            batches = next(loader)
            yield batches, time.perf_counter() - start

    def resume(self) -> None:
        """Take up the newest checkpoint that is whole, if there is one."""
        recipe = flat(self.recipe, encoders=self.reader.encoding.encoders)
        state, notes = self.checkpoints.resume(
            self.parts.objective.models, lambda state: self.check_resumable(state, recipe)
        )
        for note in notes:
            self.display.say(note)
        if state is not None:
            self.state = state
            if state.data != self.plan.fingerprint or ORDER & changed(state.recipe, recipe).keys():
                self.display.say(
                    "the encoded samples, batch_size, seed, data.pools or what is held out have changed since: this "
                    "epoch begins anew"
                )
                state.batch = 0
        self.state.data, self.state.recipe = self.plan.fingerprint, recipe
        origin = Origin(network=self.parts.objective.models[0].name, result=self.parts.result, initial=self.initial)
        self.state.result = origin.described()
        # The model that training was begun with stays on record, so that a later mistake is found as well.
        self.state.initial = self.state.initial or self.initial.fingerprint
        self.total_steps = self.count_steps()
        if state is not None:
            self.display.say(self.describe_progress())
        if self.recipe.validation.every and not len(self.plan.samples.held_out):
            self.display.say(
                "nothing is validated: no human sample is held out (data.held_out_fraction, which needs two sources)"
            )
        self.ranks.on_main(self.open_logs)
        self.display.start(self.state.step, self.total_steps)

    def describe_progress(self) -> str:
        """A line on where training goes on."""
        step, total = self.state.step, self.total_steps
        if step > total:
            return f"{step} steps have been made, more than the {total} that are asked for: there is nothing to train"
        return f"going on from step {step} of {total}"

    def open_logs(self) -> None:
        """Begin to log, on the main process: the recipe, and what the videos of the validation are made from."""
        recipe, step = self.recipe, self.state.step
        self.logs = open_logs(
            self.folder, step, recipe.monitoring, asdict(recipe), self.display.say, total_steps=self.total_steps
        )
        for each in self.shown:
            self.logs.text(step, each.prompt_title, each.sample.prompts[0])

    def count_steps(self) -> int:
        """Optimizer steps of the whole training: those done, and those that are left of the epochs asked for.

        If the batch size has changed, there are more or fewer batches from here on.
        """
        recipe, state = self.recipe, self.state
        if recipe.steps is not None:
            return recipe.steps
        return state.step + self.plan.num_left(recipe.epochs, epoch=state.epoch, batch=state.batch)

    def check_resumable(self, state: TrainState, recipe: Flat) -> None:
        """Check that training can go on from a checkpoint, and say which permitted changes there are.

        Raises:
            ConfigError: the recipe has changed where it must not, or the objective needs the model that training was
                begun with, and another one is given.
        """
        if problem := refusal(state.recipe, recipe):
            raise ConfigError(
                f"{self.folder} cannot go on with this recipe: {problem}. Go on with it as it was, or move the folder "
                "away to begin anew"
            )
        if changes := changed(state.recipe, recipe):
            told = "; ".join(f"{name} {change}" for name, change in changes.items())
            self.display.say(f"the recipe has changed since step {state.step}: {told}")
        if state.initial == self.initial.fingerprint:
            return
        if self.parts.objective.needs_initial:
            raise ConfigError(
                f"{self.folder} was begun with another model than {self.initial.directory}, which is its teacher: give "
                "that one with --model, or move the folder away to begin anew"
            )
        self.display.say(
            f"training was begun with another model than {self.initial.directory}: it goes on with the weights of the "
            "checkpoint, and takes from there all else that the result has"
        )

    def advance(self, batches: Sequence[MicroBatch]) -> None:
        """Note what has been done, and what could not be read.

        Raises:
            DamagedError: too many samples could not be read.
            NotWrittenError: a checkpoint could not be written in the background.
        """
        planned, state = batches[0].planned, self.state
        num_skipped, num_asked_to_stop, num_failed = self.ranks.sum(
            sum(len(each.skipped) for each in batches), self._asked_to_stop, self.checkpoints.has_failed
        )
        if num_failed:
            # Its ranks do not find out at the same step.
            self.checkpoints.wait()
        self._stops = num_asked_to_stop > 0
        state.step += 1
        state.samples += len(planned.draws)
        state.skipped += int(num_skipped)
        is_last = planned.is_last
        state.epoch, state.batch = (planned.epoch + 1, 0) if is_last else (planned.epoch, planned.index + 1)
        if num_skipped:
            self.record_skipped(batches)
            self.damage.check(state.skipped, state.samples)

    @property
    def damage(self) -> Damage:
        """How many damaged samples are accepted, and where they are written down."""
        return Damage(path=self.folder / "skipped.txt", limit=self.recipe.data.max_skipped)

    def record_skipped(self, batches: Sequence[MicroBatch]) -> None:
        """Write the damaged samples of the last step down."""
        mine = [f"step {self.state.step}: {line}" for each in batches for line in each.skipped]
        skipped = [line for part in self.ranks.gather(mine) for line in part]
        self.ranks.on_main(lambda: self.damage.record(skipped))
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        self.display.say(f"skipped a damaged sample: {skipped[0]}{more}")

    def check_finite(self, batches: Sequence[MicroBatch]) -> None:
        """Stop before anything is saved of a training that has broken down."""
        norms = [model.grad_norm for model in self.parts.objective.models]
        if all(math.isfinite(norm) for norm in norms):
            return
        keys = ", ".join(loaded.sample.key for batch in batches for loaded in batch.samples if loaded.weight)
        # The last good one may still be on its way.
        if problem := self.checkpoints.close():
            self.display.say(problem)
        last = self.checkpoints.paths()
        raise DivergedError(
            f"step {self.state.step + 1}: the loss or its gradient is not a number (samples on this rank: {keys}); "
            + (f"the last good checkpoint is {last[-1]}" if last else "there is no checkpoint yet")
        )

    @torch.no_grad()
    def validate(self, averages: Averages) -> None:
        """Loss and videos of held-out samples, under the averaged weights."""
        model = self.parts.objective.models[0]
        if model.ema is None or not self.held_out:
            return
        model.module.eval()
        folder = self.folder / "validation" / f"step-{self.state.step:08d}"
        config, rank, num_ranks = self.recipe.validation, self.ranks.data_rank, self.ranks.num_data_ranks
        writes = self.ranks.rank % self.ranks.sequence_parallel == 0
        with self.display.doing("validating"), model.ema.swapped_in():
            for each, counts in share_of(self.held_out[: config.loss_samples], rank, num_ranks):
                error: Tensor = self.parts.objective.validation_loss(each.batch.to(self.ranks.device))
                if counts:
                    averages.add("validation_loss", float(error.sum()), len(error))
            made: list[tuple[Path, Finish]] = []
            for each, counts in share_of(self.shown, rank, num_ranks):
                finish = self.parts.viewer.make(each)
                if counts and writes:
                    made.append((folder / f"{each.sample.key}.mp4", finish))
        model.module.train()
        problem: NotWrittenError | None = None
        try:
            with self.display.doing("decoding"):
                for path, finish in made:
                    finish(path, averages)
        except NotWrittenError as error:
            problem = error
        if problem := next((each for each in self.ranks.gather(problem) if each), None):
            raise problem
        self.ranks.on_main(lambda: self.log_videos(folder))

    def show_first(self, averages: Averages, seconds: float) -> None:
        """Show the first step that this process makes as soon as it is made: the next lines may take long."""
        if self._is_first:
            self._is_first = False
            if not self.is_due(self.recipe.log_every):
                self.display.show(self.state.step, averages.means())
                self.display.say(f"it took {seconds:.3g} s; the next line comes with step {self.next_log}")

    @property
    def next_log(self) -> int:
        """The next step that is logged."""
        every = self.recipe.log_every
        return min(self.state.step // every * every + every, self.total_steps)

    def log(self, averages: Averages) -> None:
        """Write the averages since the last log."""
        values = averages.collect(self.ranks) | {"epoch": self.state.epoch, "samples": self.state.samples}
        self.ranks.on_main(lambda: self.log_scalars(values))
        self.display.show(self.state.step, values)

    def log_scalars(self, values: dict[str, float]) -> None:
        """Log values of the last step, on the main process."""
        if self.logs is not None:
            self.logs.scalars(self.state.step, values)

    def log_videos(self, folder: Path) -> None:
        """Log the videos of a validation that lie in a folder, whichever rank made them, on the main process."""
        for each in self.shown:
            path = folder / f"{each.sample.key}.mp4"
            # Some viewers make none.
            if self.logs is not None and path.is_file():
                self.logs.video(self.state.step, each.video_title, path, each.sample.prompts[0])

    @property
    def shown(self) -> Sequence[HeldOut]:
        """The held-out samples that are made into videos."""
        return self.held_out[: self.recipe.validation.videos]

    def save(self, averages: Averages, *, at_once: bool = False) -> None:
        """Write a checkpoint, in the background or `at_once`; the seconds that training waits are logged."""
        start = time.perf_counter()
        with self.display.doing("saving"):
            self.checkpoints.save(self.state, self.parts.objective.models, at_once=at_once)
        averages.add("save_s", time.perf_counter() - start)

    def is_due(self, every: int) -> bool:
        """Whether something done every so many steps is to be done now."""
        return every > 0 and self.state.step % every == 0

    def _ask_to_stop(self, _signal: int, _frame: object) -> None:
        self._asked_to_stop = True
