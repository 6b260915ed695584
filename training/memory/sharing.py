"""How many ranks share every clip, where the recipe leaves it open: as few as fit the GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from curation.encoding.bucket import Bucket
from model.pretrained.presets import TransformerConfig
from training.distributed.ranks import Ranks
from training.memory.activations import tokens_of
from training.memory.device import gb, usable
from training.memory.of_stage import plan_of
from training.memory.plan import Cluster
from training.memory.subject import network_in
from training.monitoring.display import Display
from training.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How many ranks share every clip."""

    degree: int
    reason: str
    """One line."""


def peak_of(recipe: Recipe, network: TransformerConfig, buckets: Sequence[Bucket], cluster: Cluster) -> float:
    """Bytes at the peak of the plan, of the bucket that needs most."""
    return max((plan_of(recipe, network, bucket, cluster).peak for bucket in buckets), default=0.0)


def possible_degrees(recipe: Recipe, network: TransformerConfig, buckets: Sequence[Bucket], world: int) -> list[int]:
    """Numbers of ranks that can share a clip: they divide the ranks, the heads and the tokens of a latent frame, and
    micro-batches add up to the effective batch."""
    return [
        degree
        for degree in range(1, world + 1)
        if world % degree == 0
        and network.num_attention_heads % degree == 0
        and all(tokens_of(network, bucket) % degree == 0 for bucket in buckets)
        and recipe.batch_size % (recipe.micro_batch * (world // degree)) == 0
    ]


def choose(
    recipe: Recipe, network: TransformerConfig, buckets: Sequence[Bucket], *, world: int, room: float | None
) -> Choice:
    """The smallest number of ranks that can share a clip and fits.

    Args:
        recipe: of the stage.
        network: that the stage starts from.
        buckets: what is trained on.
        world: all ranks.
        room: bytes that a rank may fill; None on CPUs, which share nothing.
    """
    if room is None:
        return Choice(degree=1, reason="on CPUs it costs more than it saves")
    degrees = possible_degrees(recipe, network, buckets, world)
    peaks = {
        degree: peak_of(
            recipe,
            network,
            buckets,
            Cluster(world=world, zero_stage=recipe.parallel.zero_stage, sequence_parallel=degree),
        )
        for degree in degrees
    }
    fitting = next((degree for degree, peak in peaks.items() if peak <= room), None)
    if fitting is not None:
        seen = [degree for degree in degrees if degree <= fitting]
        tried = "with " + ", with ".join(f"{degree} a GPU holds {gb(peaks[degree])} GB" for degree in seen)
        return Choice(degree=fitting, reason=f"{tried}, and {gb(room)} can be filled")
    # With no degree at all, `Recipe.share` says what is wrong with the batch.
    least = min(peaks, key=lambda degree: peaks[degree], default=1)
    return Choice(degree=least, reason=f"nothing fits the {gb(room)} GB that can be filled, and this comes nearest")


def settle(recipe: Recipe, start: Path, buckets: Sequence[Bucket], ranks: Ranks, display: Display) -> Recipe:
    """The recipe with the number of ranks that share a clip chosen; on GPUs a line warns if it will hardly fit.

    Args:
        recipe: of the stage.
        start: the model directory that the stage starts from.
        buckets: what is trained on.
        ranks: who trains; all of them call this.
        display: is told what is chosen, and why.
    """
    held = _memory_of(ranks)
    # The plan of a decoder's distillation needs no network, and its directory need not have one.
    network = TransformerConfig() if recipe.objective == "decoder" else network_in(start)
    if recipe.parallel.sequence_parallel == "auto":
        room = None if held is None else usable(held)
        choice = choose(recipe, network, buckets, world=ranks.world, room=room)
        recipe = replace(recipe, parallel=replace(recipe.parallel, sequence_parallel=choice.degree))
        if ranks.world > 1:
            display.say(f"parallel.sequence_parallel is {choice.degree}: {choice.reason}")
    degree = recipe.parallel.sequence_parallel
    assert degree != "auto"
    cluster = Cluster(world=ranks.world, zero_stage=recipe.parallel.zero_stage, sequence_parallel=degree)
    if held is not None and (warning := misfit(recipe, network, buckets, cluster, held=held)):
        display.say(warning)
    return recipe


def misfit(
    recipe: Recipe, network: TransformerConfig, buckets: Sequence[Bucket], cluster: Cluster, *, held: float
) -> str | None:
    """A line that says that a stage will hardly fit GPUs that hold so many bytes; None where it fits."""
    peak = peak_of(recipe, network, buckets, cluster)
    if peak <= usable(held):
        return None
    return (
        f"this will hardly fit: a GPU needs {gb(peak)} GB, and of its {gb(held)} GB {gb(usable(held))} can be filled; "
        f"`python -m training plan --gpus {cluster.world}` shows what would fit"
    )


def _memory_of(ranks: Ranks) -> float | None:
    """Bytes of the smallest GPU of all ranks; None where they have none."""
    if ranks.device.type != "cuda":
        return None
    return min(ranks.gather(float(torch.cuda.get_device_properties(ranks.device).total_memory)))
