"""A recipe's decoder distillation: the decoder that makes pixels of latents, trained against a model directory's."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from curation.encoding.bucket import Bucket
from infra.config import ConfigError
from model.codecs.geometry import SPATIAL_COMPRESSION
from model.cost.cost import decoder_cost
from model.weights.files import read_json
from training.data.conditioning import LatentsConditioner
from training.data.loader import SampleReader
from training.data.randomness import seed_of
from training.distributed.ranks import Ranks
from training.distributed.trained_model import TrainedModel
from training.monitoring.throughput import Cost, Throughput
from training.objectives.decoder.crop_decoder import StudentDecoder
from training.objectives.decoder.crops import CropConfig
from training.objectives.decoder.decoder import DECODING, DecoderDistillation, student_of
from training.objectives.decoder.perceptual import load_perceptual
from training.parts.decoder_viewer import DecoderViewer
from training.parts.parts import Parts
from training.recipes.recipe import Recipe
from training.result import Result


def decoder_parts(recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, say: Callable[[str], None]) -> Parts:
    """See `BuildParts`.

    Raises:
        ConfigError: the directory has no decoder to distil, the shards are of another latent space, or LPIPS was asked
            for and is missing.
    """
    objective = _objective(recipe, start, reader, ranks, say)
    return Parts(
        conditioner=LatentsConditioner(seed=recipe.seed),
        objective=objective,
        throughput=Throughput(_crop_cost(objective), ranks.device, num_ranks=ranks.world, ranks_per_sample=1),
        viewer=DecoderViewer(objective),
        # How clips are made is not a decoder's business: defaults and sampler stay those of the initial directory.
        result=Result(
            component="vae",
            prefix="decoding.",
            replaced=DECODING,
            config={"decoder_base_dim": recipe.decoder.decoder_base_dim},
        ),
    )


def _objective(
    recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, say: Callable[[str], None]
) -> DecoderDistillation:
    config = recipe.decoder
    teacher = _load_teacher(start, reader.encoding.latent_channels).to(ranks.device)
    student = student_of(teacher, config.decoder_base_dim, seed=recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.seed, "feature-projections"))
        module = StudentDecoder(student, teacher, config.feature_blocks)
    model = TrainedModel(
        "decoder",
        module,
        optimizer=recipe.optimizer,
        parallel=recipe.parallel,
        ema=recipe.ema,
        ranks=ranks,
        micro_batch=recipe.micro_batch,
        accumulation=recipe.share(ranks).accumulation,
    )
    # DeepSpeed has moved the decoder alone; the autoencoder needs its encoder on the same device.
    student.to(ranks.device)
    return DecoderDistillation(
        model,
        student,
        teacher,
        config,
        load_perceptual(config.lpips, config.lpips_network, ranks.device, say),
        teacher_forwards=_next_flops(teacher, config.crop) / _next_flops(student, config.crop),
    )


def _crop_cost(objective: DecoderDistillation) -> Cost:
    """What a forward of the student over a piece costs, without the warm-up; tokens are its latent positions."""
    crop = objective.config.crop

    @cache
    def cost(bucket: Bucket) -> tuple[float, float]:
        frames, height, width = bucket.latent_shape
        num_latents = min(crop.latent_frames, frames)
        rows, columns = min(crop.latent_height, height), min(crop.latent_width, width)
        size = CropConfig(latent_height=rows, latent_width=columns)
        return num_latents * _next_flops(objective.student, size), num_latents * rows * columns

    return cost


def _load_teacher(start: Path, latent_channels: int) -> AutoencoderKLWan:
    kind = read_json(start / "model_index.json")["vae"][1]
    if kind != "AutoencoderKLWan":
        raise ConfigError(
            f"{start / 'vae'} is a {kind}, which has no decoder to distil: this stage needs a model directory with a "
            "Wan autoencoder (--model)"
        )
    teacher: AutoencoderKLWan = AutoencoderKLWan.from_pretrained(start / "vae", torch_dtype=torch.float32)
    if teacher.config.z_dim != latent_channels:
        raise ConfigError(
            f"{start / 'vae'} has {teacher.config.z_dim} latent channels, what was encoded has {latent_channels}"
        )
    return teacher.eval().requires_grad_(requires_grad=False)


def _next_flops(vae: AutoencoderKLWan, crop: CropConfig) -> int:
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    return _next_flops_of(json.dumps(config, sort_keys=True), crop.latent_height, crop.latent_width)


@lru_cache(maxsize=256)
def _next_flops_of(config: str, latent_height: int, latent_width: int) -> int:
    """Counting runs the decoder without its weights, which takes about a second."""
    with torch.device("meta"):
        empty = AutoencoderKLWan.from_config(json.loads(config))
    return decoder_cost(empty, SPATIAL_COMPRESSION * latent_height, SPATIAL_COMPRESSION * latent_width).next_flops
