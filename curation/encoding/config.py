"""The settings of encoding: sizes, lengths, precision and placement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.config import ConfigError
from infra.jobs.placement import ExecutionConfig, PoolConfig
from model.codecs.geometry import fills_latents
from model.codecs.image import AREAS, SIZE_MULTIPLE


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetConfig:
    """The size that a stage encodes to."""

    area: int
    """Pixels of a frame; each clip keeps its aspect ratio as nearly as sides divisible by 32 allow."""

    def __post_init__(self) -> None:
        """Refuse an area without room for a frame."""
        if self.area < SIZE_MULTIPLE**2:
            raise ValueError(f"area must be at least {SIZE_MULTIPLE}×{SIZE_MULTIPLE} pixels, got {self.area}")


def _paper_stages() -> Mapping[str, TargetConfig]:
    return {name: TargetConfig(area=area) for name, area in AREAS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """Everything a profile's `encode` section can say."""

    stages: Mapping[str, TargetConfig] = field(default_factory=_paper_stages)
    """Targets by name; the paper's are 720p and 1080p (Sec. 5.1)."""
    fps: int = 25
    """Frames a second; the paper does not say, all its published results have 25."""
    clip_frames: int = 109
    """Frames of a clip, 4k + 1 (paper, Sec. 5.1); the middle of a longer clip is taken."""
    min_frames: int = 81
    """A clip with fewer frames is skipped. 81 frames are 3.2 s, and the paper's sub-clips of 4-5 s are never
    shorter."""
    max_upscale: float = 2.5
    """A clip that would have to be enlarged more than this along a side is skipped. The paper scales everything to
    the stage's area; its smallest short edge, 480, needs 2.27 to reach 1088."""
    num_references: int = 4
    """Single frames of the same shot encoded for each clip; training draws its pivot from them (our choice)."""
    vectors_per_clip: int = 10
    """Latent positions that a clip gives to the codebook: 40,000 centroids × 256 vectors over 1M clips."""
    reference_batch: int = 4
    """Single frames that the autoencoder takes at once; clips are taken one by one."""
    resize_threads: int = 1
    """Threads that scale frames; where a GPU encodes, scaling is the slower part."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: the GPU when there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the text and audio encoders; `auto` is bfloat16 on a GPU, float32 on a CPU."""
    vae_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the autoencoder; `auto` is bfloat16 on a GPU, whose latents are within 58.6 dB of float32's (PSNR,
    measured on an H200; `python -m bench.speed.encoding` measures it on a run's clips), and float32 on a CPU."""
    execution: ExecutionConfig = ExecutionConfig(pools=(PoolConfig(name="encode"),), unit_timeout_s=600.0)
    """Placement and limits; there is one stage, `encode`."""

    def __post_init__(self) -> None:
        """Refuse lengths and counts that make no clip."""
        if min(self.fps, self.num_references, self.vectors_per_clip, self.reference_batch, self.resize_threads) < 1:
            raise ValueError(
                "fps, num_references, vectors_per_clip, reference_batch and resize_threads must be at least 1"
            )
        if not fills_latents(self.clip_frames) or not 1 <= self.min_frames <= self.clip_frames:
            raise ValueError("clip_frames must be 4k + 1, and min_frames between 1 and that")
        if any(pool.units_in_flight > 1 for pool in self.execution.pools):
            # A shard's clips already keep a GPU busy, and two shards would take turns on its memory.
            raise ValueError("encoding takes one shard at a time: leave units_in_flight at 1")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings in which shards of one directory may differ: which clips get in, how much they give, and the
        precision, which may still be `auto`."""
        names = ("min_frames", "max_upscale", "num_references", "vectors_per_clip", "dtype", "vae_dtype")
        return {name: getattr(self, name) for name in names}

    def target(self, stage: str) -> TargetConfig:
        """A stage's target.

        Raises:
            ConfigError: no such stage.
        """
        if stage not in self.stages:
            raise ConfigError(f"no stage {stage!r} to encode for; there are {', '.join(self.stages)}")
        return self.stages[stage]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A profile's `model` section: whose encoders are used. Exactly one of the two is given."""

    preset: str | None = None
    """`tiny`, whose encoders have no weights."""
    directory: str | None = None
    """A model directory or a Hub id."""

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.preset is None) == (self.directory is None):
            raise ValueError("give either preset or directory")
        if self.preset not in {None, "tiny"}:
            raise ValueError(f"the preset {self.preset!r} has random weights, which encode nothing; give directory")

    @property
    def source(self) -> str:
        """What `model.pretrained.assemble.load_encoders` takes."""
        source = self.preset or self.directory
        assert source is not None
        return source
