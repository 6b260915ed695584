"""A recipe's flow matching: the network that makes latents, trained on encoded clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.data.loader import SampleReader
from training.distributed.ranks import Ranks
from training.objectives.flow_matching import FlowMatching
from training.parts.parts import Parts
from training.parts.trained_transformer import (
    choose_attention,
    fitting_transformer,
    train_transformer,
    transformer_parts,
)
from training.recipes.recipe import Recipe


def flow_matching_parts(
    recipe: Recipe, start: Path, reader: SampleReader, ranks: Ranks, say: Callable[[str], None]
) -> Parts:
    """See `BuildParts`."""
    transformer = fitting_transformer(start, reader, ranks, say)
    choose_attention(recipe, transformer, ranks, say)
    model = train_transformer(recipe, "transformer", transformer, ranks, optimizer=recipe.optimizer, ema=recipe.ema)
    objective = FlowMatching(model, recipe.flow_matching)
    return transformer_parts(recipe, transformer, objective, start=start, reader=reader, ranks=ranks)
