"""Describe each clip: structured attributes and two texts (paper, Sec. 4.1, automatic fine-grained
labeling)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from curation.backends.caption.captioner import CaptionError
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import CAPTIONERS
from curation.clip.schema import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionConfig:
    """Which captioner is used."""

    backend: str = "measured"
    """Captioner: `measured` (states what earlier stages measured). Qwen3-VL in the paper."""


class CaptionStage:
    """Give every clip a caption; reject those for which the captioner has no valid one."""

    def __init__(self, config: CaptionConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.captioner = CAPTIONERS.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """The clip with its caption."""
        try:
            return replace(clip, caption=self.captioner.caption(clip))
        except CaptionError:
            return clip.reject("caption", "no_valid_caption")
