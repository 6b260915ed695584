"""Defects flagged by Qwen2.5-VL: a yes or no for each kind (paper, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from curation.backends.vlm.asking import VlmClient, first_then_rest
from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.config import VlmConfig
from curation.backends.vlm.prompts import load_prompt, wording_of
from curation.clip.schema import Clip

PROMPT: Final = "defects"


@dataclass(frozen=True, kw_only=True, slots=True)
class VlmDefectsConfig(VlmConfig):
    """Which model flags defects."""

    model: str = "Qwen/Qwen2.5-VL-7B-Instruct"
    """Name under which it is served. The paper names the family and not the size."""
    max_keyframes: int = 8
    """A defect of the picture is seen on any frame: fewer frames are as good and cost less."""
    pixel_limit: Literal["video", "frame"] = "frame"
    """Qwen2.5-VL's processor limits the pixels of each frame."""
    wording: str = field(default_factory=lambda: wording_of([PROMPT]), init=False)
    """Of the questions: other words are other decisions."""


class VlmDefects:
    """Asks a vision-language model about each kind of defect."""

    def __init__(self, config: VlmDefectsConfig) -> None:
        self.config = config
        self.client = VlmClient(config)
        self.prompt = load_prompt(PROMPT)

    def detect(self, clip: Clip) -> Mapping[str, float]:
        """The probability of every kind; none of a clip without keyframes.

        Raises:
            MachineFaultError: the server stays away or refuses requests.
        """
        if not clip.keyframes:
            return {}
        video = ClipVideo.of(clip, self.config)
        questions = [self.prompt.text.strip().format(question=wording) for wording in self.prompt.items.values()]
        answers = first_then_rest(lambda question: self.client.probability_of_yes(video, question), questions)
        return dict(zip(self.prompt.items, answers, strict=True))
