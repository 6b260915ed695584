"""What of a training depends on the kind of network that is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import Encoding
from infra.config import ConfigError
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import Autoencoder
from model.generation.sampling import build_scheduler
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.presets import TransformerConfig
from training.data.conditioning import Conditioner, Conditions, OwnLatents
from training.data.index import SampleIndex
from training.data.loader import SampleReader
from training.distributed.ranks import Ranks
from training.monitoring.display import Display
from training.monitoring.throughput import Throughput, transformer_cost
from training.objectives.objective import Objective
from training.parts.decoder import build_decoder, crop_cost
from training.parts.decoder_viewer import DecoderViewer
from training.parts.networks import build_objective, load_transformer
from training.parts.viewer import ClipViewer, Viewer
from training.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What of a training depends on the kind of network."""

    conditioner: Conditions
    objective: Objective
    throughput: Throughput
    viewer: Viewer


def network_parts(recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, _display: Display) -> Parts:
    """To train the network that makes latents."""
    encoding = reader.encoding
    transformer = load_transformer(start)
    _check_fit(transformer, encoding, reader.directory.path)
    _check_shared(transformer, reader.samples, ranks.sequence_parallel)
    config, validation = transformer.config, recipe.validation
    vae = load_vae(start, ranks.device) if validation.every and validation.videos else None
    return Parts(
        conditioner=Conditioner(
            recipe.conditioning,
            seed=recipe.seed,
            audio_window=config.audio_window,
            audio_dim=config.audio_dim,
            text_tokens=encoding.text_tokens,
            free_text=reader.directory.unconditional(),
        ),
        objective=build_objective(recipe, transformer, start, ranks),
        throughput=Throughput(
            transformer_cost(_transformer_config(transformer), encoding.text_tokens),
            ranks.device,
            num_ranks=ranks.world,
            ranks_per_sample=ranks.sequence_parallel,
        ),
        viewer=ClipViewer(
            transformer, build_scheduler(recipe.generation.scheduler), vae, validation, recipe.parallel.precision
        ),
    )


def decoder_parts(recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, display: Display) -> Parts:
    """To train the decoder that makes pixels of them."""
    channels = reader.encoding.latent_channels
    objective = build_decoder(recipe, start, ranks, latent_channels=channels, say=display.say)
    return Parts(
        conditioner=OwnLatents(seed=recipe.seed),
        objective=objective,
        throughput=Throughput(crop_cost(objective), ranks.device, num_ranks=ranks.world, ranks_per_sample=1),
        viewer=DecoderViewer(objective),
    )


def load_vae(directory: Path, device: torch.device) -> Autoencoder:
    """The autoencoder of a model directory, fp32."""
    kind = json.loads((directory / "model_index.json").read_text())["vae"][1]
    loader = PatchDCTCodec if kind == "PatchDCTCodec" else AutoencoderKLWan
    vae: Autoencoder = loader.from_pretrained(directory / "vae").to(device).eval()
    return vae


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


def _check_shared(transformer: SoulTransformer3DModel, samples: SampleIndex, num_ranks: int) -> None:
    """Refuse before training what sequence parallelism would refuse in its midst, at the first clip of a bucket."""
    _, patch_height, patch_width = transformer.config.patch_size
    shared = {"attention heads of the network": int(transformer.config.num_attention_heads)}
    for bucket in map(Bucket.parse, samples.table["bucket"].unique().to_pylist()):
        _, height, width = bucket.latent_shape
        shared[f"tokens of a latent frame of {bucket}"] = (height // patch_height) * (width // patch_width)
    for what, number in shared.items():
        if number % num_ranks:
            raise ConfigError(
                f"{num_ranks} ranks cannot share the {number} {what}: parallel.sequence_parallel must divide them"
            )


def _transformer_config(transformer: SoulTransformer3DModel) -> TransformerConfig:
    values = {name: transformer.config[name] for name in TransformerConfig.__dataclass_fields__}
    return TransformerConfig(**values | {"patch_size": tuple(values["patch_size"])})
