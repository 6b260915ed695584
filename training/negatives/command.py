"""`python -m training negatives`: failure cases of a run's human samples, as a pool beside its encoded shards."""

from __future__ import annotations

import argparse
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from curation.encoding.encoded import EncodedDirectory, EncodedShardWriter
from infra.command_line import CommandFailedError
from infra.config import ConfigError, persons_mistakes
from infra.storage.commits import TakenOverError
from infra.storage.files import join
from infra.storage.write_errors import NotWrittenError
from model.generation.pipeline import SoulPipeline
from training.negatives.candidates import Candidates, choose_candidates
from training.negatives.config import NegativesConfig
from training.negatives.make import NegativeMaker, encode_prompt, settings_digest


def run(options: argparse.Namespace) -> None:
    """Make the failure cases that were asked for and are not there yet. A stop loses at most one commit's clips.

    Raises:
        ConfigError: nothing is encoded, the model is incomplete or does not fit, or another job works on the directory.
        CommandFailedError: no clip could be made, or none written.
    """
    console = Console(stderr=True, markup=False)
    config = NegativesConfig(
        prompt=options.negative_prompt,
        count=options.count,
        num_steps=options.steps,
        guidance_scale=options.guidance_scale,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    directory = EncodedDirectory(join(options.run, "encoded", options.stage))
    # Fails at once where nothing is encoded: loading the model takes a minute.
    directory.encoding()
    pipeline = _load(options)
    states = encode_prompt(pipeline.text_encoder, pipeline.tokenizer, config.prompt)
    # The text encoder is not needed any more, and UMT5 takes more memory than the network.
    pipeline.register_modules(text_encoder=None)
    candidates = choose_candidates(
        directory,
        settings_digest(config, pipeline.transformer),
        count=config.count,
        seed=config.seed,
        clips_per_commit=config.clips_per_commit,
    )
    _announce(console, candidates, config)
    if not candidates.commits:
        return
    with _progress(console) as bar:
        task = bar.add_task("denoising", total=candidates.num_missing * config.num_steps)
        maker = NegativeMaker(
            pipeline.transformer,
            pipeline.scheduler,
            directory,
            states=states,
            config=config,
            on_steps=lambda steps: bar.advance(task, steps),
        )
        rows = _write(directory, candidates, maker, lambda line: _say(console, line), log=bar.disable)
    made = sum(row["encoded"] for row in rows)
    _say(console, f"made  {made:,} clips in {len(candidates.commits):,} commits of {directory.path}")
    reasons = [row["reason"] for row in rows if not row["encoded"]]
    for kind, number in Counter(reason.partition(":")[0] for reason in reasons).most_common():
        first = next(reason for reason in reasons if reason.partition(":")[0] == kind)
        _say(console, f"skipped  {number:,}, such as {first}" if number > 1 else f"skipped  1: {first}")
    if not made:
        raise CommandFailedError(f"none of {len(rows):,} clips could be made, see above")


def _write(
    directory: EncodedDirectory, candidates: Candidates, maker: NegativeMaker, say: Callable[[str], None], *, log: bool
) -> list[dict[str, Any]]:
    """Make a failure case of each candidate that has none, and commit them; with `log`, say a line for each commit.

    Returns:
        The committed rows.
    """
    session = uuid.uuid4().hex
    removed = directory.open_session(session)
    if removed:
        say(f"removed {removed:,} files that an interrupted run left")
    writer = EncodedShardWriter(directory, session)
    rows: list[dict[str, Any]] = []
    try:
        for name, locations in candidates.commits:
            rows += writer.write(name, maker.clips(locations))
            if log:
                say(f"committed  {len(rows):,} of {candidates.num_missing:,}")
    except TakenOverError as error:
        raise ConfigError(f"stopped: {error}; encoding and negatives cannot run at once") from error
    except torch.OutOfMemoryError as error:
        raise ConfigError(f"the GPU's memory is not enough for --batch-size {maker.config.batch_size}") from error
    except OSError as error:
        raise NotWrittenError(f"{directory.path} cannot be written to: {error}; the same command goes on") from error
    return rows


def _load(options: argparse.Namespace) -> SoulPipeline:
    """The pipeline of a model directory, without what denoising does not need: autoencoder and audio encoder."""
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, options.dtype or ("float32" if device == "cpu" else "bfloat16"))
    diffusers_logging.disable_progress_bar()
    with persons_mistakes():
        pipeline = SoulPipeline.from_pretrained(options.model, dtype=dtype, vae=None, audio_encoder=None)
    try:
        on_device: SoulPipeline = pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device}: {str(error).partition(chr(10))[0]}") from error
    return on_device


def _announce(console: Console, candidates: Candidates, config: NegativesConfig) -> None:
    if candidates.num_chosen < config.count:
        _say(console, f"{candidates.num_human:,} human samples are fewer than {config.count:,}: each is used once")
    if candidates.num_others:
        _say(console, f"{candidates.num_others:,} negatives of other settings or weights stay in the pool")
    num_done = candidates.num_chosen - candidates.num_missing
    if candidates.num_missing == 0:
        _say(console, f"nothing to do: all {num_done:,} negatives are there")
        return
    done = f"; {num_done:,} are there" if num_done else ""
    _say(console, f"to make  {candidates.num_missing:,} clips{done}")


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
