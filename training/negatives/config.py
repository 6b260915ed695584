"""How failure cases are made. A module of its own, because the libraries that make them take seconds to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from infra.config import ConfigError

NEGATIVE_PROMPT: Final = (
    "A badly generated video: blurred face with melting features, distorted mouth, deformed teeth, lips that miss the "
    "words, crossed eyes, extra fingers, fused hands, twisted limbs, the identity drifts, flicker, jitter, ghosting, "
    "frozen and motionless, washed-out or oversaturated colours, noise, compression blocks, watermark"
)
"""The failures that we see most in generated people, in our words; it fits into 64 hashed tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NegativesConfig:
    """How failure cases are made."""

    prompt: str = NEGATIVE_PROMPT
    """What the clips are made from, and their caption."""
    count: int = 64
    """Clips to make, at most one of each human sample. The paper gives no number; `data.pools` of a recipe sets how
    often they are drawn."""
    num_steps: int = 10
    """Denoising steps: fewer than the paper's 25 of a good video, which these need not be."""
    guidance_scale: float = 1.0
    """w of uncond + w·(cond − uncond); 1 is no guidance, which costs half and gives more failures."""
    seed: int = 0
    """Seed of the choice of samples, of their references and of the noise."""
    batch_size: int = 1
    """Clips that are denoised at once."""
    clips_per_commit: int = 8
    """Clips that are committed together: an interrupted run loses at most so many."""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ConfigError("negatives: the negative prompt is empty")
        for name in ("count", "num_steps", "batch_size", "clips_per_commit"):
            if getattr(self, name) < 1:
                raise ConfigError(f"negatives: {name} must be at least 1, got {getattr(self, name)}")
        if not self.guidance_scale >= 1:
            raise ConfigError(f"negatives: guidance_scale must be at least 1 (no guidance), got {self.guidance_scale}")
