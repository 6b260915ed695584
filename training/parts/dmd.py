"""A recipe's distribution matching: student, critic and teacher, all from one model directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from peft import LoraConfig

from model.generation.sampling import build_scheduler, set_timesteps
from model.network.compilation import compile_blocks
from model.network.transformer import SoulTransformer3DModel
from training.data.loader import SampleReader
from training.data.randomness import seed_of
from training.distributed.ranks import Ranks
from training.distributed.trained_model import TrainedModel
from training.objectives.dmd.dmd import Dmd
from training.objectives.dmd.teacher import AdaptedTeacher, PlacedTeacher, Teacher
from training.parts.parts import Parts
from training.parts.trained_transformer import (
    choose_attention,
    fitting_transformer,
    load_transformer,
    share_clips,
    train_transformer,
    transformer_parts,
)
from training.recipes.recipe import Recipe

LORA_LAYERS: Final = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")
"""What a LoRA critic adapts: the matrices of all attentions and feed-forward layers."""


def dmd_parts(recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, say: Callable[[str], None]) -> Parts:
    """See `BuildParts`."""
    transformer = fitting_transformer(start, reader, ranks, say)
    choose_attention(recipe, transformer, ranks, say)
    student = train_transformer(recipe, "transformer", transformer, ranks, optimizer=recipe.optimizer, ema=recipe.ema)
    critic = _critic(recipe, start, ranks)
    scheduler = build_scheduler(recipe.generation.scheduler)
    _, levels = set_timesteps(scheduler, recipe.generation.num_inference_steps, ranks.device)
    objective = Dmd(
        student,
        critic,
        _teacher(recipe, critic, start, ranks),
        recipe.dmd,
        sigmas=levels / 1000,
        seed=recipe.seed,
    )
    return transformer_parts(recipe, transformer, objective, start=start, reader=reader, ranks=ranks)


def _critic(recipe: Recipe, start: Path, ranks: Ranks) -> TrainedModel:
    network = load_transformer(start)
    if recipe.dmd.critic_lora_rank:
        _add_lora(network, recipe.dmd.critic_lora_rank, recipe.seed)
    choose_attention(recipe, network, ranks)
    return train_transformer(recipe, "critic", network, ranks, optimizer=recipe.dmd.critic, ema=None)


def _teacher(recipe: Recipe, critic: TrainedModel, start: Path, ranks: Ranks) -> Teacher:
    if recipe.dmd.critic_lora_rank:
        return AdaptedTeacher(critic)
    # DeepSpeed shares out fp32 only, as it does for the networks under training.
    stored_fp32 = recipe.parallel.precision == "float32" or recipe.dmd.teacher == "zero3"
    network = load_transformer(start, torch.float32 if stored_fp32 else torch.bfloat16)
    choose_attention(recipe, network, ranks)
    if recipe.dmd.teacher != "zero3" and recipe.parallel.compiles(ranks.device):
        compile_blocks(network)
    teacher = PlacedTeacher(network, recipe.dmd.teacher, recipe.parallel, ranks)
    share_clips(network, ranks)
    return teacher


def _add_lora(transformer: SoulTransformer3DModel, rank: int, seed: int) -> None:
    """Freeze a network and add adapters, the same on all ranks, which change nothing at first."""
    transformer.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "critic-lora"))
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LORA_LAYERS)))
