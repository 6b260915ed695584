"""Describe each clip: structured attributes and two texts (paper, Sec. 4.1, automatic fine-grained
labeling)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from curation.backends.caption.captioner import CaptionError
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import CAPTIONERS
from curation.backends.settings import PLACEMENT
from curation.clip.caption import ATTRIBUTES, LabelError
from curation.clip.replies import ModelReply, TokenTotals
from curation.clip.schema import Clip

MAX_SAID = 500
"""Letters kept of what a captioner said of a clip that it could not describe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionConfig:
    """Which captioner is used, and which attributes people have labelled."""

    backend: str = "measured"
    """Captioner: `measured` (states what earlier stages measured). Qwen3-VL in the paper."""
    label_columns: Mapping[str, str] = field(default_factory=dict)
    """Column of the manifest → attribute of the caption that it holds, such as `gesture: hand_gesture` or
    `legs: human_action.legs`. What people have labelled (paper, Sec. 4.1: "manually annotated action data for specific
    gestures") takes the place of what a captioner would say; an empty cell leaves it to the captioner."""
    in_flight: int = field(default=8, metadata=PLACEMENT)
    """Clips of one source that are described at the same time."""

    def __post_init__(self) -> None:
        for column, attribute in self.label_columns.items():
            if attribute not in ATTRIBUTES:
                raise ValueError(
                    f"caption.label_columns.{column}: no attribute {attribute!r}; there are {', '.join(ATTRIBUTES)}"
                )
        if len(set(self.label_columns.values())) < len(self.label_columns):
            raise ValueError("caption.label_columns: two columns for one attribute")
        if self.in_flight < 1:
            raise ValueError(f"caption.in_flight must be at least 1, not {self.in_flight}")


class CaptionStage:
    """Give every clip a caption; reject those for which the captioner has no valid one."""

    def __init__(self, config: CaptionConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.captioner = CAPTIONERS.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """The clip with its caption, and with what a language model said and took for it."""
        try:
            described = self.captioner.caption(clip, self._labels(clip))
        except CaptionError as error:
            said = error.replies[-1].text if error.replies else ""
            clip = _with_replies(clip, error.replies).with_scores(
                caption_error=str(error), caption_said=said[:MAX_SAID] or None
            )
            return clip.reject("caption", "no_valid_caption")
        except LabelError as error:
            return clip.with_scores(caption_error=str(error)).reject("caption", "invalid_label")
        return replace(_with_replies(clip, described.replies), caption=described.caption)

    def _labels(self, clip: Clip) -> dict[str, str]:
        cells = {attribute: clip.metadata.get(column) for column, attribute in self.config.label_columns.items()}
        return {attribute: str(cell).strip() for attribute, cell in cells.items() if str(cell or "").strip()}


def _with_replies(clip: Clip, replies: tuple[ModelReply, ...]) -> Clip:
    if not replies:
        return clip
    totals = TokenTotals.of(replies)
    return replace(clip, replies=(*clip.replies, *replies)).with_scores(
        caption_prompt_tokens=totals.prompt,
        caption_cached_tokens=totals.cached,
        caption_completion_tokens=totals.completion,
    )
