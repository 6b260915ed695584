"""One stage of a run: put together from its recipe, trained, and made into a model directory."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging

from curation.encoding.encoded import EncodedDirectory, encoded_path
from infra.config import persons_mistakes
from model.generation.codebook import Codebook
from model.weights.directory import CODEBOOK_FILE, fingerprint
from training.data.batch_plan import BatchPlan
from training.data.index import SampleIndex
from training.data.loader import SampleReader
from training.distributed.checkpoints import Checkpoints
from training.distributed.ema import full_state_dict
from training.distributed.lock import locked
from training.distributed.ranks import Ranks
from training.distributed.shared_index import read_index_once
from training.initial import Initial, initial_directory, initial_source
from training.memory.sharing import settle
from training.memory.subject import encoded_buckets
from training.monitoring.config import check_monitoring
from training.monitoring.display import Display
from training.monitoring.validation import load_held_out
from training.parts.by_objective import PARTS_OF
from training.recipes.recipe import Recipe
from training.result import check_link, point_to, write_result
from training.trainer import Trainer
from training.weight_files import weights_of


def run_stage(stage: str, recipe: Recipe, run: Path, ranks: Ranks, *, initial: str | None = None) -> Path:
    """Train a stage to its end, going on from its newest checkpoint, and write its model directory.

    Args:
        stage: its name: what it makes lies in `RUN/train/<stage>`.
        recipe: all its numbers.
        run: the run directory.
        ranks: who trains.
        initial: what it starts from, in place of the recipe's.

    Returns:
        The model directory.

    Raises:
        ConfigError: something that was asked for is not possible; one line.
        DivergedError: the training broke down.
        DamagedError: too many samples are damaged; no model directory is written.
        StoppedError: a SIGTERM came; a checkpoint has been written.
        NotWrittenError: a checkpoint, the model directory or something else could not be written.
        CommandFailedError: the stage's folder could not be made.
    """
    diffusers_logging.disable_progress_bar()
    folder = run / "train" / stage
    source = ranks.on_main(lambda: _check_places(recipe, run, initial))
    display = Display(visible=ranks.is_main)
    with locked(folder, ranks):
        display.announce(f"loading  the model {source}")
        start = ranks.on_main(lambda: initial_directory(source, folder / "initial", seed=recipe.seed))
        buckets = ranks.on_main(lambda: encoded_buckets(_encoded(recipe, run)))
        recipe = settle(recipe, start, buckets, ranks, display)
        trainer = build_trainer(recipe, run, folder, ranks, start=start, display=display)
        try:
            trainer.train()
        finally:
            if problem := trainer.checkpoints.close():
                display.say(problem)
            display.stop()
            if trainer.logs is not None:
                trainer.logs.close()
        return _finish(trainer, recipe, run, start)


def build_trainer(recipe: Recipe, run: Path, folder: Path, ranks: Ranks, *, start: Path, display: Display) -> Trainer:
    """Everything a training is made of; `start` is the model directory that it begins with."""
    degree = recipe.parallel.sequence_parallel
    assert degree != "auto", "settled before"
    ranks = ranks.sharing(degree)
    share = recipe.share(ranks)
    directory = _encoded(recipe, run)
    display.announce(f"loading  the data {directory.path}")
    data = recipe.data
    samples = read_index_once(directory, ranks, held_out_fraction=data.held_out_fraction, of_sources=data.sources)
    display.announce(describe_samples(samples))
    plan = BatchPlan(samples=samples, weights=data.pools, batch_size=recipe.batch_size, seed=recipe.seed)
    reader = SampleReader(directory, samples)
    parts = PARTS_OF[recipe.objective](recipe, start, reader, ranks, display.say)
    validation = recipe.validation
    num_held_out = max(validation.videos, validation.loss_samples) if validation.every else 0
    return Trainer(
        recipe=recipe,
        folder=folder,
        ranks=ranks,
        share=share,
        plan=plan,
        reader=reader,
        parts=parts,
        checkpoints=Checkpoints(folder / "checkpoints", recipe.checkpoint, ranks),
        display=display,
        held_out=load_held_out(samples.held_out, reader, parts.conditioner, num_held_out, display.say),
        initial=ranks.on_main(lambda: Initial.of(start, parts.result.component)),
    )


def describe_samples(samples: SampleIndex) -> str:
    """A line on the samples to train on, and on those whose damage would not be noticed when they are read."""
    pools = ", ".join(f"{pool} {len(rows):,}" for pool, rows in samples.pools.items())
    line = f"{len(samples):,} samples: {pools}; held out {len(samples.held_out):,}"
    if samples.num_unchecked:
        line += (
            f". {samples.num_unchecked:,} were encoded before samples carried a hash: damage in them can pass "
            "unnoticed (encode into a new run to have them checked)"
        )
    return line


def _finish(trainer: Trainer, recipe: Recipe, run: Path, start: Path) -> Path:
    """Write the stage's model directory, and make `RUN/model` a link to it if it is new."""
    parts, ranks = trainer.parts, trainer.ranks
    model = parts.objective.models[0]
    assert model.ema is not None
    target = trainer.folder / "model"
    with model.ema.swapped_in():
        state = full_state_dict(model.module, ranks)
    codebook, trained = run / CODEBOOK_FILE, target / parts.result.component

    def write() -> None:
        before = fingerprint(trained)
        write_result(
            target,
            start,
            parts.result,
            weights=weights_of(state),
            dtype=getattr(torch, recipe.store_dtype),
            codebook=codebook if codebook.is_file() else None,
        )
        # If the stage was done already, its result is not new, and the link may lead to the result of a later stage.
        if fingerprint(trained) != before or not (run / "model").exists():
            point_to(run / "model", target)

    ranks.on_main(write)
    return target


def _encoded(recipe: Recipe, run: Path) -> EncodedDirectory:
    return EncodedDirectory(encoded_path(recipe.data.run or str(run), recipe.encoded, recipe.data.decisions))


def _check_places(recipe: Recipe, run: Path, initial: str | None) -> str:
    """Find out before anything is written, and before days of training, what would make the stage fail.

    Returns:
        What the stage starts from.
    """
    _encoded(recipe, run).encoding()
    check_monitoring(recipe.monitoring)
    check_link(run / "model")
    if (run / CODEBOOK_FILE).is_file():
        with persons_mistakes():
            Codebook.load(run / CODEBOOK_FILE)
    return initial_source(recipe, run, initial)
