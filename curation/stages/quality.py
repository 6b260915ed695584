"""Quality: clips that look too bad to learn from are rejected."""

from __future__ import annotations

from dataclasses import dataclass

from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.quality.scorer import UnscoredError
from curation.backends.registry import QUALITY_SCORERS
from curation.clip.schema import Clip
from curation.rules.rule import Limit, Rule, decide_clip

STAGE = "quality"


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityConfig:
    """Which scorer, and how good is good enough."""

    backend: str = "no_reference"
    """Quality scorer. The paper uses FineVQ (Sec. 4.1); `no_reference` needs no weights."""

    min_score: float = 50.0
    """Score in [0, 100] below which a clip is rejected, on the backend's own scale. The paper gives no value. With
    `no_reference` a clip that is flawless but for one worthless part scores 49. Measured: 79 to 100 on the labelled
    clips to keep; 24 (median) after a Gaussian blur of 3 pixels at a short edge of 480."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 100:
            raise ValueError(f"quality.min_score must be in [0, 100], not {self.min_score}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a clip that has a score."""
        return (Rule(name="low_score", limits=(Limit("quality_score", "<", self.min_score, "min_score"),)),)


class QualityFilter:
    """Reject clips of poor picture quality (paper, Sec. 4.1)."""

    def __init__(self, config: QualityConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.scorer = QUALITY_SCORERS.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """Scores: the overall quality and each of its parts."""
        try:
            quality = self.scorer.score(clip)
        except UnscoredError as error:
            return clip.reject(STAGE, error.rule)
        parts = {f"quality_{name}": value for name, value in quality.parts.items()}
        return decide_clip(clip.with_scores(quality_score=quality.score, **parts), STAGE, self.config.rules)
