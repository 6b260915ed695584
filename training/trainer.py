"""The training loop, the same for every stage."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from curation.command_line import CommandFailedError
from curation.config import ConfigError
from training.checkpoints import Checkpoints, TrainState
from training.conditioning import Conditions
from training.data import MicroBatch, SampleReader, Share, load_steps
from training.display import Display
from training.initial import Initial
from training.metrics import Averages, MetricsLog
from training.objectives.objective import Objective
from training.plan import Plan
from training.ranks import Ranks
from training.recipe import Recipe
from training.throughput import Throughput
from training.validation import HeldOut, share_of
from training.viewer import Viewer


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
    plan: Plan
    reader: SampleReader
    conditioner: Conditions
    objective: Objective
    checkpoints: Checkpoints
    throughput: Throughput
    display: Display
    held_out: Sequence[HeldOut]
    viewer: Viewer
    initial: Initial
    state: TrainState = field(default_factory=TrainState)
    total_steps: int = 0
    """Known when it is known where training goes on."""
    metrics: MetricsLog | None = None
    _asked_to_stop: bool = False
    _stops: bool = False

    def train(self) -> None:
        """Go on from the newest checkpoint, to the end.

        Raises:
            ConfigError: the newest checkpoint does not fit, or was begun with another model that is still needed.
            DivergedError: the gradient is not finite.
            StoppedError: a SIGTERM came; a checkpoint has been written.
            CheckpointError: a checkpoint could not be written.
        """
        self.resume()
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        averages = Averages()
        for batches, wait_s in self.steps():
            start = time.perf_counter()
            conditioned = [self.conditioner(batch.samples).to(self.ranks.device) for batch in batches]
            averages.merge(self.objective.train_step(conditioned, step=self.state.step, total_steps=self.total_steps))
            self.check_finite(batches)
            self.advance(batches)
            seconds = time.perf_counter() - start + wait_s
            self.throughput.add(averages, batches, forwards=self.objective.forwards, seconds=seconds, wait_s=wait_s)

            step, is_last = self.state.step, self.state.step == self.total_steps
            if step % self.recipe.audio_delta_every == 0:
                self.viewer.measure(conditioned[0], averages)
            if self.is_due(self.recipe.validation.every) or (is_last and self.recipe.validation.every):
                self.validate(averages)
            if self.is_due(self.recipe.log_every) or is_last:
                self.log(averages)
            if self.is_due(self.recipe.checkpoint.every) or is_last:
                self.save()
            if self._stops and not is_last:
                self.save()
                raise StoppedError(f"stopped at step {step} of {self.total_steps}; the same command goes on")

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
        state, notes = self.checkpoints.resume(self.objective.models)
        for note in notes:
            self.display.say(note)
        if state is not None:
            self.state = state
            self.check_initial()
            if state.data != self.plan.fingerprint:
                self.display.say(
                    "the encoded samples, batch_size, seed or data.pools have changed since: this epoch begins anew"
                )
                state.batch = 0
        self.state.data = self.plan.fingerprint
        # What was begun with stays on record, so that a later mistake is found as well.
        self.state.initial = self.state.initial or self.initial.fingerprint
        self.total_steps = self.count_steps()
        if state is not None:
            self.display.say(f"going on from step {state.step} of {self.total_steps}")
        if self.recipe.validation.every and not len(self.plan.samples.held_out):
            self.display.say(
                "nothing is validated: no human sample is held out (data.held_out_fraction, which needs two sources)"
            )
        self.metrics = MetricsLog(self.folder, self.state.step) if self.ranks.is_main else None
        self.display.start(self.state.step, self.total_steps)

    def count_steps(self) -> int:
        """Optimizer steps of the whole training: those done, and those that are left of the epochs asked for.

        Batches of another size than before are so many more or fewer from here on.
        """
        recipe, state = self.recipe, self.state
        if recipe.steps is not None:
            return recipe.steps
        return state.step + self.plan.num_left(recipe.epochs, epoch=state.epoch, batch=state.batch)

    def check_initial(self) -> None:
        """See whether training goes on with the model that it was begun with.

        Raises:
            ConfigError: it does not, and the objective needs that model.
        """
        if self.state.initial in {"", self.initial.fingerprint}:
            return
        if self.objective.needs_initial:
            raise ConfigError(
                f"{self.folder} was begun with another model than {self.initial.directory}, which is its teacher: give "
                "that one with --model, or move the folder away to begin anew"
            )
        self.display.say(
            f"training was begun with another model than {self.initial.directory}: it goes on with the weights of the "
            "checkpoint, and takes from there all else that the result has"
        )

    def advance(self, batches: Sequence[MicroBatch]) -> None:
        """Note what has been done, and what could not be read."""
        plan = batches[0].plan
        num_skipped, num_asked_to_stop = self.ranks.sum(sum(len(each.skipped) for each in batches), self._asked_to_stop)
        if num_skipped:
            self.record_skipped(batches)
        self._stops = num_asked_to_stop > 0
        state = self.state
        state.step += 1
        state.samples += len(plan.draws)
        state.skipped += int(num_skipped)
        state.epoch, state.batch = (plan.epoch + 1, 0) if plan.is_last else (plan.epoch, plan.index + 1)

    def record_skipped(self, batches: Sequence[MicroBatch]) -> None:
        """Write damaged samples down; too many of them stop the training."""
        mine = [line for each in batches for line in each.skipped]
        skipped = [line for part in self.ranks.gather(mine) for line in part]
        if self.ranks.is_main:
            with (self.folder / "skipped.txt").open("a") as file:
                file.writelines(f"step {self.state.step + 1}: {line}\n" for line in skipped)
        self.display.say(f"skipped a damaged sample: {skipped[0]}")
        total, limit = self.state.skipped + len(skipped), self.recipe.data.max_skipped
        seen = self.state.samples + self.recipe.batch_size
        # A few bad ones at the very beginning are no rate yet.
        if total > max(limit * seen, 2):
            raise DivergedError(
                f"{total} of the first {seen} samples are damaged, more than data.max_skipped ({limit:g}); see "
                f"{self.folder / 'skipped.txt'}"
            )

    def check_finite(self, batches: Sequence[MicroBatch]) -> None:
        """Stop before anything is saved of a training that has broken down."""
        norms = [model.grad_norm for model in self.objective.models]
        if all(math.isfinite(norm) for norm in norms):
            return
        keys = ", ".join(loaded.sample.key for batch in batches for loaded in batch.samples if loaded.weight)
        last = self.checkpoints.paths()
        raise DivergedError(
            f"step {self.state.step + 1}: the loss or its gradient is not a number (samples on this rank: {keys}); "
            + (f"the last good checkpoint is {last[-1]}" if last else "there is no checkpoint yet")
        )

    @torch.no_grad()
    def validate(self, averages: Averages) -> None:
        """Loss and videos of held-out samples, under the averaged weights."""
        model = self.objective.models[0]
        if model.ema is None or not self.held_out:
            return
        self.display.say_briefly("validating")
        model.module.eval()
        folder = self.folder / "validation" / f"step-{self.state.step:08d}"
        config, rank, num_ranks = self.recipe.validation, self.ranks.data_rank, self.ranks.num_data_ranks
        writes = self.ranks.rank % self.ranks.sequence_parallel == 0
        with model.ema.swapped_in():
            for each, counts in share_of(self.held_out[: config.loss_samples], rank, num_ranks):
                error: Tensor = self.objective.validation_loss(each.batch.to(self.ranks.device))
                if counts:
                    averages.add("validation_loss", float(error.sum()), len(error))
            for each, counts in share_of(self.held_out[: config.videos], rank, num_ranks):
                path = folder / f"{each.sample.key}.mp4" if counts and writes else None
                self.viewer.show(each, path, averages)
        model.module.train()
        self.ranks.barrier()

    def log(self, averages: Averages) -> None:
        """Write the averages since the last look."""
        values = averages.collect(self.ranks) | {"epoch": self.state.epoch, "samples": self.state.samples}
        if self.metrics is not None:
            self.metrics.write(self.state.step, values)
        self.display.show(self.state.step, values)

    def save(self) -> None:
        """Write a checkpoint."""
        self.display.say_briefly("saving")
        self.checkpoints.save(self.state, self.objective.models)

    def is_due(self, every: int) -> bool:
        """Whether something done every so many steps is to be done now."""
        return every > 0 and self.state.step % every == 0

    def _ask_to_stop(self, _signal: int, _frame: object) -> None:
        self._asked_to_stop = True
