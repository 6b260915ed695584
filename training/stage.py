"""One stage of a run: put together from its recipe, trained, and made into a model directory."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.utils import logging as diffusers_logging

from curation.config import ConfigError
from curation.encoded import EncodedDirectory, Encoding
from curation.storage import join
from model.codec import PatchDCTCodec
from model.presets import TransformerConfig
from model.sampling import Scheduler, build_scheduler
from model.transformer import SoulTransformer3DModel
from model.vae import Autoencoder
from training.checkpoints import Checkpoints
from training.conditioning import Conditioner, Conditions, OwnLatents
from training.data import SampleReader
from training.display import Display
from training.ema import full_state_dict
from training.index import read_index
from training.objectives.build import build_objective, load_transformer
from training.objectives.decoder.build import build_decoder, crop_cost
from training.objectives.decoder.decoder import DecoderDistillation
from training.objectives.decoder.viewer import DecoderViewer
from training.objectives.objective import Objective
from training.plan import Plan
from training.ranks import Ranks
from training.recipe import Recipe
from training.result import check_link, initial_directory, point_to, write_result
from training.throughput import Throughput, transformer_cost
from training.trainer import Trainer
from training.validation import load_held_out
from training.viewer import ClipViewer, Viewer


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
        ConfigError: something that was asked for cannot be; one line.
        DivergedError: the training broke down.
        StoppedError: a SIGTERM came; a checkpoint has been written.
        CheckpointError: a checkpoint could not be written.
    """
    diffusers_logging.disable_progress_bar()
    folder = run / "train" / stage
    _on_main(ranks, lambda: _check_places(recipe, run))
    start = _on_main(
        ranks, lambda: initial_directory(_source(recipe, run, initial), folder / "initial", seed=recipe.seed)
    )
    display = Display(visible=ranks.is_main)
    trainer = build_trainer(recipe, run, folder, ranks, start=start, display=display)
    try:
        trainer.train()
    finally:
        display.stop()
        if trainer.metrics is not None:
            trainer.metrics.close()
    return _finish(trainer, recipe, run, start)


def build_trainer(recipe: Recipe, run: Path, folder: Path, ranks: Ranks, *, start: Path, display: Display) -> Trainer:
    """Everything a training is made of; `start` is the model directory that it begins with."""
    share = recipe.share(ranks)
    directory = _encoded(recipe, run)
    samples = read_index(directory, held_out_fraction=recipe.data.held_out_fraction)
    plan = Plan(samples=samples, weights=recipe.data.pools, batch_size=recipe.batch_size, seed=recipe.seed)
    reader = SampleReader(directory, samples)
    parts = (_decoder_parts if recipe.objective == "decoder" else _network_parts)(
        recipe, start, directory, ranks, display
    )
    validation = recipe.validation
    num_held_out = max(validation.videos, validation.loss_samples) if validation.every else 0
    return Trainer(
        recipe=recipe,
        folder=folder,
        ranks=ranks,
        share=share,
        plan=plan,
        reader=reader,
        conditioner=parts.conditioner,
        objective=parts.objective,
        checkpoints=Checkpoints(folder / "checkpoints", recipe.checkpoint, ranks),
        throughput=parts.throughput,
        display=display,
        held_out=load_held_out(samples.held_out, reader, parts.conditioner, num_held_out),
        viewer=parts.viewer,
        total_steps=num_steps(recipe, plan),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """What of a training depends on the kind of network."""

    conditioner: Conditions
    objective: Objective
    throughput: Throughput
    viewer: Viewer


def _network_parts(recipe: Recipe, start: Path, directory: EncodedDirectory, ranks: Ranks, _display: Display) -> _Parts:
    """To train the network that makes latents."""
    encoding = directory.encoding()
    transformer = load_transformer(start)
    _check_fit(transformer, encoding, directory.path)
    config, validation = transformer.config, recipe.validation
    vae = load_vae(start, ranks.device) if validation.every and validation.videos else None
    return _Parts(
        conditioner=Conditioner(
            recipe.conditioning,
            seed=recipe.seed,
            audio_window=config.audio_window,
            audio_dim=config.audio_dim,
            text_tokens=encoding.text_tokens,
            free_text=directory.unconditional(),
        ),
        objective=build_objective(recipe, transformer, start, ranks),
        throughput=Throughput(
            transformer_cost(_transformer_config(transformer), encoding.text_tokens),
            ranks.device,
            ranks_per_sample=ranks.sequence_parallel,
        ),
        viewer=ClipViewer(
            transformer, build_scheduler(recipe.generation.scheduler), vae, validation, recipe.parallel.precision
        ),
    )


def _decoder_parts(recipe: Recipe, start: Path, directory: EncodedDirectory, ranks: Ranks, display: Display) -> _Parts:
    """To train the decoder that makes pixels of them."""
    channels = directory.encoding().latent_channels
    objective = build_decoder(recipe, start, ranks, latent_channels=channels, say=display.say)
    return _Parts(
        conditioner=OwnLatents(seed=recipe.seed),
        objective=objective,
        throughput=Throughput(crop_cost(objective), ranks.device, ranks_per_sample=1),
        viewer=DecoderViewer(objective),
    )


def num_steps(recipe: Recipe, plan: Plan) -> int:
    """Optimizer steps of a whole training."""
    if recipe.steps is not None:
        return recipe.steps
    whole = int(recipe.epochs)
    steps = sum(plan.num_batches(epoch) for epoch in range(whole))
    return steps + math.ceil((recipe.epochs - whole) * plan.num_batches(whole))


def load_vae(directory: Path, device: torch.device) -> Autoencoder:
    """The autoencoder of a model directory, fp32."""
    kind = json.loads((directory / "model_index.json").read_text())["vae"][1]
    loader = PatchDCTCodec if kind == "PatchDCTCodec" else AutoencoderKLWan
    vae: Autoencoder = loader.from_pretrained(directory / "vae").to(device).eval()
    return vae


def _finish(trainer: Trainer, recipe: Recipe, run: Path, start: Path) -> Path:
    """Write the stage's model directory, and lead `RUN/model` to it."""
    objective, ranks = trainer.objective, trainer.ranks
    model = objective.models[0]
    assert model.ema is not None
    target = trainer.folder / "model"
    with model.ema.swapped_in():
        state = full_state_dict(model.module, ranks)
    codebook = run / "codebook.safetensors"
    component, config, defaults = "transformer", {}, _defaults(recipe, trainer.reader.encoding)
    scheduler: Scheduler | None = build_scheduler(recipe.generation.scheduler)
    if isinstance(objective, DecoderDistillation):
        # How clips are made is not a decoder's business: its directory's defaults are those of the initial one.
        component, config, defaults = "vae", {"decoder_base_dim": objective.config.decoder_base_dim}, {}
        scheduler = None
        state = objective.result(state)
    if ranks.is_main:
        write_result(
            target,
            start,
            component=component,
            state=state,
            dtype=getattr(torch, recipe.store_dtype),
            defaults=defaults,
            config=config,
            scheduler=scheduler,
            codebook=codebook if codebook.is_file() else None,
        )
        point_to(run / "model", target)
    ranks.barrier()
    return target


def _defaults(recipe: Recipe, encoding: Encoding) -> dict[str, Any]:
    """What the pipeline is told to do unless it is told otherwise."""
    return {
        "fps": encoding.fps,
        "clip_latents": 1 + (encoding.clip_frames - 1) // 4,
        "overlap_latents": recipe.conditioning.overlap_latents,
        "area": encoding.area,
        "num_inference_steps": recipe.generation.num_inference_steps,
        "guidance_scale": recipe.generation.guidance_scale,
    }


def _source(recipe: Recipe, run: Path, given: str | None) -> str:
    """What the stage starts from, as a directory, Hub id or preset."""
    source = given or recipe.initial
    if not source:
        raise ConfigError(
            "this stage starts from a model directory: give one with --model (MODEL=), e.g. what "
            "`python -m model convert` makes of Wan2.2-TI2V-5B"
        )
    kind, separator, stage = source.partition("stage:")
    if kind or not separator:
        return source
    directory = run / "train" / stage / "model"
    if not directory.is_dir():
        raise ConfigError(
            f"this stage starts from the result of {stage!r}, and {directory} is not there: train {stage} first, or "
            "give another model directory with --model"
        )
    return str(directory)


def _encoded(recipe: Recipe, run: Path) -> EncodedDirectory:
    return EncodedDirectory(join(recipe.data.run or str(run), "encoded", recipe.encoded))


def _check_places(recipe: Recipe, run: Path) -> None:
    """Find out before anything is written, and days of training, what would be in the way of it."""
    _encoded(recipe, run).encoding()
    check_link(run / "model")


def _on_main(ranks: Ranks, action: Any) -> Any:
    """Do something on the main process and give all its result, or its error."""
    result: tuple[Any, ConfigError | None] = (None, None)
    if ranks.is_main:
        try:
            result = (action(), None)
        except ConfigError as error:
            result = (None, error)
    value, problem = ranks.broadcast(result)
    if problem is not None:
        raise problem
    return value


def _check_fit(transformer: SoulTransformer3DModel, encoding: Encoding, where: str) -> None:
    config = transformer.config
    for name, expected, found in (
        ("latent channels", config.in_channels, encoding.latent_channels),
        ("text states", config.text_dim, encoding.text_dim),
        ("audio features", config.audio_dim, encoding.audio_dim),
    ):
        if expected != found:
            raise ConfigError(
                f"{where} was encoded for another model: its {name} have {found} channels, the network takes {expected}"
            )


def _transformer_config(transformer: SoulTransformer3DModel) -> TransformerConfig:
    values = {name: transformer.config[name] for name in TransformerConfig.__dataclass_fields__}
    return TransformerConfig(**values | {"patch_size": tuple(values["patch_size"])})
