"""`python -m training plan`: what a stage holds on each GPU, and whether that fits."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from curation.encoding.bucket import Bucket
from infra.command_line import CommandFailedError
from infra.config import ConfigError
from model.pretrained.presets import TransformerConfig
from training.memory.activations import tokens_of
from training.memory.device import gb, held_by, how_counted, usable
from training.memory.of_stage import plan_of
from training.memory.plan import Cluster, Plan
from training.memory.sharing import choose, possible_degrees
from training.memory.subject import named_bucket, named_network
from training.recipes.recipe import Recipe, load_recipe


class DoesNotFitError(CommandFailedError):
    """What was asked for needs more memory than there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A stage on so many GPUs."""

    recipe: Recipe
    name: str
    """Of the network."""
    network: TransformerConfig
    bucket: Bucket
    world: int
    room: float
    """Bytes of a GPU that can be filled."""

    @property
    def degrees(self) -> list[int]:
        """Numbers of ranks that can share a clip."""
        if self.recipe.objective == "decoder":
            return [1]
        return possible_degrees(self.recipe, self.network, [self.bucket], self.world)

    def plan(self, zero_stage: int, degree: int) -> Plan:
        """The plan of one layout."""
        cluster = Cluster(world=self.world, zero_stage=zero_stage, sequence_parallel=degree)
        return plan_of(self.recipe, self.network, self.bucket, cluster)


def run(options: argparse.Namespace) -> None:
    """Print the plan.

    Raises:
        ConfigError: there are no such GPUs, clips, network or field; or the recipe cannot be laid out over the GPUs.
        DoesNotFitError: it does not fit.
    """
    asked = _question(options)
    parallel = asked.recipe.parallel
    degree, reason = _degree(asked)
    plan = asked.plan(parallel.zero_stage, degree)
    for line in (*_subject(options.stage, asked), *_layout(asked, degree, reason), "", *_parts(plan), ""):
        print(line)
    fits = plan.peak <= asked.room
    print(
        f"The peak is {gb(plan.peak)} GB, and {gb(asked.room)} can be filled: it {'fits' if fits else 'does not fit'}."
    )
    print(f"{how_counted(options.gpu_memory)}\n")
    for line in _layouts(asked, degree):
        print(line)
    if not fits:
        raise DoesNotFitError(f"{options.stage} does not fit {asked.world} GPUs of {options.gpu_memory:g} GB")


def _question(options: argparse.Namespace) -> Question:
    if options.gpus < 1 or options.gpu_memory <= 0:
        raise ConfigError("--gpus and --gpu-memory are above 0")
    recipe = load_recipe(options.stage, options.profile, options.overrides)
    name, network = named_network(recipe, options.profile, options.model)
    return Question(
        recipe=recipe,
        name=name,
        network=network,
        bucket=_bucket(options.clip) if options.clip else named_bucket(recipe, options.profile),
        world=options.gpus,
        room=usable(held_by(options.gpu_memory)),
    )


def _bucket(text: str) -> Bucket:
    try:
        return Bucket.parse(text)
    except ValueError:
        raise ConfigError(f"--clip {text}: give frames, height and width, e.g. 109x704x1280") from None


def _degree(asked: Question) -> tuple[int, str]:
    """Ranks that share a clip, and why."""
    said, degrees = asked.recipe.parallel.sequence_parallel, asked.degrees
    if not degrees:
        raise ConfigError(
            f"batch_size {asked.recipe.batch_size} cannot be made of equal shares of {asked.world} GPUs with "
            f"micro_batch {asked.recipe.micro_batch}"
        )
    if said == "auto":
        choice = choose(asked.recipe, asked.network, [asked.bucket], world=asked.world, room=asked.room)
        return choice.degree, f" (auto: {choice.reason})"
    if said not in degrees:
        raise ConfigError(
            f"{asked.world} GPUs cannot share clips of {asked.bucket} by {said}: parallel.sequence_parallel can be "
            f"{', '.join(map(str, degrees))}"
        )
    return said, ""


def _subject(stage: str, asked: Question) -> Iterator[str]:
    recipe, bucket = asked.recipe, asked.bucket
    yield f"{stage}: {recipe.objective} of {asked.name} on clips of {bucket}"
    if recipe.objective != "decoder":
        yield f"clip      {bucket.latent_shape[0] * tokens_of(asked.network, bucket):,} tokens"


def _layout(asked: Question, degree: int, reason: str) -> Iterator[str]:
    recipe, parallel = asked.recipe, asked.recipe.parallel
    at_once = recipe.micro_batch * (asked.world // degree)
    yield f"GPUs      {asked.world}, zero_stage {parallel.zero_stage}, sequence_parallel {degree}{reason}"
    yield (
        f"step      {recipe.batch_size} clips, {at_once} at once; gradient_checkpointing "
        f"{parallel.gradient_checkpointing}, precision {parallel.precision}"
    )


def _parts(plan: Plan) -> Iterator[str]:
    yield _row("GB on each GPU", *plan.phases)
    for name, sizes in plan.parts.items():
        yield _row(name, *(gb(sizes[phase]) if phase in sizes else "" for phase in plan.phases))
    yield _row("together", *(gb(plan.together(phase)) for phase in plan.phases))


def _row(name: str, *cells: str) -> str:
    return f"{name:<26}{''.join(f'{cell:>12}' for cell in cells)}".rstrip()


def _layouts(asked: Question, taken: int) -> Iterator[str]:
    """The peak of every layout."""
    yield _row("GB at the peak", *(f"by {degree}" for degree in asked.degrees)) + "   (sequence_parallel)"
    for zero_stage in (1, 2, 3):
        cells = []
        for degree in asked.degrees:
            peak = asked.plan(zero_stage, degree).peak
            star = "*" if (zero_stage, degree) == (asked.recipe.parallel.zero_stage, taken) else ""
            cells.append(f"{star}{gb(peak)} {'fits' if peak <= asked.room else '  no'}")
        yield _row(f"zero_stage {zero_stage}", *cells)
