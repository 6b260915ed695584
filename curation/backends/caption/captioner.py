"""Describing clips: the interface of captioners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from curation.clip.caption import Caption
from curation.clip.replies import ModelReply
from curation.clip.schema import Clip


class CaptionError(Exception):
    """The captioner gave no valid caption for this clip; the message and `replies` say what it gave."""

    def __init__(self, problem: str, replies: tuple[ModelReply, ...] = ()) -> None:
        super().__init__(problem)
        self.replies = replies


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A caption and what led to it."""

    caption: Caption
    replies: tuple[ModelReply, ...] = ()
    """Of a language model, in the order of its questions."""


class Captioner(Protocol):
    """Describes a clip from its keyframes, tracks and scores (paper: Qwen3-VL, one prompt for each attribute group)."""

    def caption(self, clip: Clip, labels: Mapping[str, str]) -> Described:
        """The attributes that can be confirmed, `"none"` for the rest, and both texts.

        Args:
            clip: what is described.
            labels: attributes that a person gave, by the names in `ATTRIBUTES`: the caption has them unchanged.

        Raises:
            CaptionError: there is no valid caption.
            LabelError: a label does not fit its attribute.
        """
        ...
