"""The network that makes latents, under training: what every objective that trains it shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from curation.encoding.encoded import Encoding
from infra.config import persons_mistakes
from model.codecs.geometry import latent_frames
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import Autoencoder
from model.generation.sampling import build_scheduler
from model.network.attention_kernels import use_attention
from model.network.sequence_parallel import SequenceParallel
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.presets import TransformerConfig
from model.weights.files import stored_dtype
from training.data.conditioning import ClipConditioner
from training.data.loader import SampleReader
from training.distributed.ema import EmaConfig
from training.distributed.ranks import Ranks
from training.distributed.trained_model import OptimizerConfig, TrainedModel
from training.monitoring.throughput import Throughput, transformer_cost
from training.objectives.objective import Objective
from training.parts.clip_viewer import ClipViewer
from training.parts.fit import check_fit, check_shared
from training.parts.parts import Parts
from training.recipes.recipe import Recipe
from training.result import Result


def load_transformer(directory: Path, dtype: torch.dtype = torch.float32) -> SoulTransformer3DModel:
    """The network of a model directory; weights that must be fp32 stay fp32."""
    transformer: SoulTransformer3DModel = SoulTransformer3DModel.from_pretrained(
        directory / "transformer", torch_dtype=dtype
    )
    transformer.train()
    return transformer


def fitting_transformer(
    start: Path, reader: SampleReader, ranks: Ranks, say: Callable[[str], None]
) -> SoulTransformer3DModel:
    """The network of a model directory, fp32; `say` is given a line if it is stored in less.

    Raises:
        ConfigError: it does not fit the samples, or the ranks cannot share it.
    """
    transformer = load_transformer(start)
    stored = stored_dtype(start / "transformer", "patch_embedding.weight")
    if stored != "F32":
        say(
            f"{start} stores the network in {stored}: training starts from rounded weights "
            "(`python -m model convert` stores fp32, a recipe with store_dtype=float32)"
        )
    check_fit(transformer, reader.encoding, reader.directory.path)
    check_shared(transformer, reader.samples, ranks.sequence_parallel)
    return transformer


def choose_attention(
    recipe: Recipe, transformer: SoulTransformer3DModel, ranks: Ranks, say: Callable[[str], None] = lambda _line: None
) -> None:
    """Let a network attend as the recipe asks for; `say` shows lines on that, and on whether its blocks are compiled.

    Raises:
        ConfigError: it cannot on this device, or with what is installed.
    """
    parallel = recipe.parallel
    dtype = getattr(torch, parallel.precision)
    with persons_mistakes():
        kernel = use_attention(transformer, parallel.attention, ranks.device, dtype, trained=True)
    say(f"attention  {kernel}")
    if parallel.compiles(ranks.device):
        say("compile    blocks, in the first steps: it takes minutes")


def train_transformer(
    recipe: Recipe,
    name: str,
    transformer: SoulTransformer3DModel,
    ranks: Ranks,
    *,
    optimizer: OptimizerConfig,
    ema: EmaConfig | None,
) -> TrainedModel:
    """A network under training; where ranks share clips, it shares them. It is changed in place."""
    if recipe.parallel.residual_in_fp32 is not None:
        transformer.register_to_config(residual_in_fp32=recipe.parallel.residual_in_fp32)
    model = TrainedModel(
        name,
        transformer,
        optimizer=optimizer,
        parallel=recipe.parallel,
        ema=ema,
        ranks=ranks,
        micro_batch=recipe.micro_batch,
        accumulation=recipe.share(ranks).accumulation,
    )
    share_clips(transformer, ranks)
    return model


def share_clips(transformer: SoulTransformer3DModel, ranks: Ranks) -> None:
    """Let the ranks of a sequence group share every clip that the network is given."""
    if ranks.sequence_group is not None:
        SequenceParallel(transformer, ranks.sequence_group)


def transformer_parts(
    recipe: Recipe,
    transformer: SoulTransformer3DModel,
    objective: Objective,
    *,
    start: Path,
    reader: SampleReader,
    ranks: Ranks,
) -> Parts:
    """The parts of any objective that trains the network that makes latents; see `BuildParts`."""
    encoding, config, validation = reader.encoding, transformer.config, recipe.validation
    vae = _load_vae(start, _decodes_in(ranks.device)) if validation.every and validation.videos else None
    return Parts(
        conditioner=ClipConditioner(
            recipe.conditioning,
            seed=recipe.seed,
            audio_window=config.audio_window,
            audio_dim=config.audio_dim,
            text_tokens=encoding.text_tokens,
            free_text=reader.directory.unconditional(),
        ),
        objective=objective,
        throughput=Throughput(
            transformer_cost(_config_of(transformer), encoding.text_tokens),
            ranks.device,
            num_ranks=ranks.world,
            ranks_per_sample=ranks.sequence_parallel,
        ),
        viewer=ClipViewer(transformer, build_scheduler(recipe.generation.scheduler), vae, validation, ranks.device),
        result=Result(
            component="transformer",
            config={"residual_in_fp32": config.residual_in_fp32},
            in_fp32=tuple(SoulTransformer3DModel._keep_in_fp32_modules),
            defaults=_defaults(recipe, encoding),
            scheduler=recipe.generation.scheduler,
        ),
    )


def _defaults(recipe: Recipe, encoding: Encoding) -> dict[str, Any]:
    """The pipeline's settings where a request leaves them open."""
    generation = recipe.generation
    defaults: dict[str, Any] = {
        "fps": encoding.fps,
        "clip_latents": latent_frames(encoding.clip_frames),
        "overlap_latents": recipe.conditioning.overlap_latents,
        "area": encoding.area,
        "num_inference_steps": generation.num_inference_steps,
        "guidance_scale": generation.guidance_scale,
        "audio_guidance_scale": generation.audio_guidance_scale,
    }
    if generation.negative_prompt is not None:
        defaults["negative_prompt"] = generation.negative_prompt
    return defaults


def _decodes_in(device: torch.device) -> torch.dtype:
    """On a GPU videos of a validation are decoded in bf16: they are looked at, not measured, and in fp32 the decoder
    takes 45 GB at 1088×1920, beside weights and optimizer states."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _load_vae(directory: Path, dtype: torch.dtype) -> Autoencoder:
    """The autoencoder of a model directory, in host memory. The patch-DCT codec has one small matrix and stays fp32."""
    kind = json.loads((directory / "model_index.json").read_text())["vae"][1]
    if kind == "PatchDCTCodec":
        codec: Autoencoder = PatchDCTCodec.from_pretrained(directory / "vae").eval()
        return codec
    vae: Autoencoder = AutoencoderKLWan.from_pretrained(directory / "vae", torch_dtype=dtype).eval()
    return vae


def _config_of(transformer: SoulTransformer3DModel) -> TransformerConfig:
    values = {name: transformer.config[name] for name in TransformerConfig.__dataclass_fields__}
    return TransformerConfig(**values | {"patch_size": tuple(values["patch_size"])})
