"""A stage's recipe: all its numbers, read from `training/recipes/<stage>.yaml` and scaled by the profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.config import ConfigError, build, layered, profile_section, read_yaml
from model.generation.guidance import Guidance
from model.network.attention_kernels import AUTO
from training.data.conditioning import ConditioningConfig
from training.data.loader import DataConfig, Share
from training.distributed.checkpoints import CheckpointConfig
from training.distributed.ema import EmaConfig
from training.distributed.ranks import Ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig
from training.monitoring.config import MonitoringConfig
from training.monitoring.validation import ValidationConfig
from training.objectives.decoder.decoder import DecoderConfig
from training.objectives.dmd.dmd import DmdConfig
from training.objectives.flow_matching import FlowMatchingConfig
from training.recipes import RECIPES, check_stage

ObjectiveName = Literal["flow_matching", "dmd", "decoder"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationConfig:
    """The pipeline's settings in the stage's model directory, which hold where a request leaves them open."""

    num_inference_steps: int = 25
    """Paper, Sec. 5.1."""
    guidance_scale: float = 5.0
    """By text and sound (Wan2.2: 5); 1 is none."""
    audio_guidance_scale: float | None = None
    """By the sound, where it is to differ."""
    negative_prompt: str | None = None
    """What guidance leads away from; the start's own if not given. Where failure cases are trained on, theirs."""
    scheduler: Literal["unipc", "euler", "few-step"] = "unipc"
    """The sampler, of validation videos too: `unipc` is Wan2.2's, `few-step` a distilled model's."""

    def __post_init__(self) -> None:
        """Refuse no steps."""
        if self.num_inference_steps < 1:
            raise ValueError(f"num_inference_steps is at least 1, got {self.num_inference_steps}")

    @property
    def guidance(self) -> Guidance:
        """By text and sound."""
        return Guidance.of(self.guidance_scale, self.audio_guidance_scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides what a stage does."""

    encoded: str
    """Folder of `RUN/encoded` that is trained on: `720p` or `1080p`."""
    initial: str = ""
    """What the stage starts from: a model directory, a Hub id, `pretrained` (the small network that comes with Soul),
    `tiny` (random weights), or `stage:<name>` for the result of another stage of the same run. If empty, it must be
    given with --model."""
    epochs: float = 1.0
    """Passes over the largest pool."""
    steps: int | None = None
    """Optimizer steps, in place of epochs."""
    batch_size: int = 64
    """Samples of an optimizer step over all ranks (the paper trains on 64 GPUs and says no more); on fewer GPUs
    gradients are accumulated until it is reached."""
    micro_batch: int = 1
    """Samples of a forward on one rank."""
    seed: int = 0
    """Seed of everything random."""
    objective: ObjectiveName = "flow_matching"
    """What is minimised."""
    data: DataConfig = field(default_factory=DataConfig)
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)
    flow_matching: FlowMatchingConfig = field(default_factory=FlowMatchingConfig)
    dmd: DmdConfig = field(default_factory=DmdConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    log_every: int = 10
    """Steps between two lines of the log."""
    audio_delta_every: int = 50
    """Steps between two measurements of how much the prediction changes when the sound is taken away."""
    store_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the weights in the model directory; modulation and norms stay fp32."""

    def __post_init__(self) -> None:
        """Refuse what trains nothing."""
        if min(self.batch_size, self.micro_batch, self.log_every, self.audio_delta_every) < 1:
            raise ValueError("batch_size, micro_batch, log_every and audio_delta_every must be at least 1")
        if self.epochs <= 0 or (self.steps is not None and self.steps < 1):
            raise ValueError("epochs must be above 0, steps at least 1")
        if self.objective == "dmd":
            self._check_dmd()
        if self.objective == "decoder":
            self._check_decoder()

    def _check_dmd(self) -> None:
        generation = self.generation
        if generation.scheduler != "few-step" or generation.guidance.is_on:
            raise ValueError(
                "the objective dmd trains for generation.scheduler few-step and generation.guidance_scale 1, not "
                f"{generation.scheduler} and {generation.guidance.text:g}, {generation.guidance.audio:g}"
            )

    def _check_decoder(self) -> None:
        parallel = self.parallel
        if self.store_dtype != "float32":
            raise ValueError(
                "an autoencoder is stored in fp32, so that its encoder stays as it is: set store_dtype=float32"
            )
        if parallel.gradient_checkpointing != "none" or parallel.sequence_parallel != 1:
            raise ValueError(
                "a decoder keeps a causal cache: set parallel.gradient_checkpointing=none and sequence_parallel=1"
            )

        if parallel.attention != AUTO or parallel.compile == "blocks":
            raise ValueError(
                "a decoder has no attention to choose and no blocks to compile: leave parallel.attention and "
                "parallel.compile at auto"
            )

    def share(self, ranks: Ranks) -> Share:
        """This rank's part of each effective batch.

        Raises:
            ConfigError: the ranks' micro-batches do not add up to the effective batch.
        """
        at_once = self.micro_batch * ranks.num_data_ranks
        if self.batch_size % at_once:
            below, above = self.batch_size // at_once * at_once, -(-self.batch_size // at_once) * at_once
            nearest = f"{below} or {above}" if below else str(above)
            raise ConfigError(
                f"batch_size {self.batch_size} is not a multiple of {ranks.num_data_ranks} ranks × micro_batch "
                f"{self.micro_batch}: the nearest that are: {nearest}"
            )
        return Share(
            rank=ranks.data_rank,
            num_ranks=ranks.num_data_ranks,
            micro_batch=self.micro_batch,
            accumulation=self.batch_size // at_once,
        )


def load_recipe(stage: str, profile: str, overrides: Sequence[str] = ()) -> Recipe:
    """A stage's recipe: its file, then the profile's `training.<stage>`, then `dotted.key=value` overrides.

    Raises:
        ConfigError: no such stage or profile, an unknown key or a bad value; one line that names it.
    """
    check_stage(stage)
    published: dict[str, Any] = read_yaml(RECIPES / f"{stage}.yaml")
    scaled = profile_section(profile, f"training.{stage}")
    return build(Recipe, layered(overrides, published, scaled), f"training.{stage}")
