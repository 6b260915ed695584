"""A recipe's objective with the networks that it trains."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig

from model.generation.sampling import build_scheduler, set_timesteps
from model.network.sequence_parallel import SequenceParallel
from model.network.transformer import SoulTransformer3DModel
from training.data.randomness import seed_of
from training.distributed.ema import EmaConfig
from training.distributed.ranks import Ranks
from training.distributed.trained_model import OptimizerConfig, TrainedModel
from training.objectives.dmd.dmd import Dmd
from training.objectives.dmd.teacher import AdaptedTeacher, PlacedTeacher, Teacher
from training.objectives.flow_matching import FlowMatching
from training.objectives.objective import Objective
from training.recipes.recipe import Recipe

LORA_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")
"""What a LoRA critic adapts: the matrices of all attentions and feed-forward layers."""


def build_objective(recipe: Recipe, transformer: SoulTransformer3DModel, start: Path, ranks: Ranks) -> Objective:
    """Put a stage's objective together.

    Args:
        recipe: of the stage.
        transformer: what is trained, fp32; changed in place.
        start: the model directory that it was loaded from, which a distillation's teacher and critic start from too.
        ranks: who trains.
    """
    model = _trained(recipe, "transformer", transformer, ranks, optimizer=recipe.optimizer, ema=recipe.ema)
    if recipe.objective == "flow_matching":
        return FlowMatching(model, recipe.flow_matching)
    config = recipe.dmd
    network = load_transformer(start)
    if config.critic_lora_rank:
        _add_lora(network, config.critic_lora_rank, recipe.seed)
    critic = _trained(recipe, "critic", network, ranks, optimizer=config.critic, ema=None)
    _, levels = set_timesteps(
        build_scheduler(recipe.generation.scheduler), recipe.generation.num_inference_steps, ranks.device
    )
    return Dmd(
        model,
        critic,
        _teacher(recipe, critic, start, ranks),
        config,
        sigmas=levels / 1000,
        seed=recipe.seed,
    )


def load_transformer(directory: Path, dtype: torch.dtype = torch.float32) -> SoulTransformer3DModel:
    """The network of a model directory; what has to stay fp32 does."""
    transformer: SoulTransformer3DModel = SoulTransformer3DModel.from_pretrained(
        directory / "transformer", torch_dtype=dtype
    )
    transformer.train()
    return transformer


def _trained(
    recipe: Recipe,
    name: str,
    transformer: SoulTransformer3DModel,
    ranks: Ranks,
    *,
    optimizer: OptimizerConfig,
    ema: EmaConfig | None,
) -> TrainedModel:
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
    _share_clips(transformer, ranks)
    return model


def _teacher(recipe: Recipe, critic: TrainedModel, start: Path, ranks: Ranks) -> Teacher:
    if recipe.dmd.critic_lora_rank:
        return AdaptedTeacher(critic)
    # DeepSpeed shares out fp32 only, as it does for the networks under training.
    stored_fp32 = recipe.parallel.precision == "float32" or recipe.dmd.teacher == "zero3"
    network = load_transformer(start, torch.float32 if stored_fp32 else torch.bfloat16)
    teacher = PlacedTeacher(network, recipe.dmd.teacher, recipe.parallel, ranks)
    _share_clips(network, ranks)
    return teacher


def _share_clips(transformer: SoulTransformer3DModel, ranks: Ranks) -> None:
    if ranks.sequence_group is not None:
        SequenceParallel(transformer, ranks.sequence_group)


def _add_lora(transformer: SoulTransformer3DModel, rank: int, seed: int) -> None:
    """Freeze a network and add adapters, the same on all ranks, which change nothing at first."""
    transformer.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "critic-lora"))
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LORA_LAYERS)))
