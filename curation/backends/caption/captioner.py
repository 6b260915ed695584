"""Describing clips: the interface of captioners."""

from __future__ import annotations

from typing import Protocol

from curation.clip.caption import Caption
from curation.clip.schema import Clip


class CaptionError(Exception):
    """The captioner gave no valid caption for this clip; the message says what it gave."""


class Captioner(Protocol):
    """Describes a clip from its keyframes, tracks and scores (paper: Qwen3-VL, one prompt for each attribute group)."""

    def caption(self, clip: Clip) -> Caption:
        """The attributes that can be confirmed, `"none"` for the rest, and both texts.

        Raises:
            CaptionError: there is no valid caption.
        """
        ...
