"""Claims of a caption judged by Qwen2.5-VL-72B, one by one (paper, Sec. 4.1, point 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from curation.backends.vlm.asking import VlmClient, first_then_rest
from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.config import VlmConfig
from curation.backends.vlm.prompts import load_prompt, wording_of
from curation.clip.claims import Claim
from curation.clip.schema import Clip

PROMPT: Final = "claims"


@dataclass(frozen=True, kw_only=True, slots=True)
class VlmJudgeConfig(VlmConfig):
    """Which model judges claims."""

    model: str = "Qwen/Qwen2.5-VL-72B-Instruct"
    """Name under which it is served: the paper's, and another than the captioner, which would agree with itself."""
    pixel_limit: Literal["video", "frame"] = "frame"
    """Qwen2.5-VL's processor limits the pixels of each frame."""
    wording: str = field(default_factory=lambda: wording_of([PROMPT]), init=False)
    """Of the question: other words are other decisions."""


class VlmJudge:
    """Asks a vision-language model of each claim whether the frames agree with it."""

    def __init__(self, config: VlmJudgeConfig) -> None:
        self.config = config
        self.client = VlmClient(config)
        self.prompt = load_prompt(PROMPT)

    def judge(self, clip: Clip, claims: Sequence[Claim]) -> Mapping[Claim, float]:
        """The probability that each claim is true; none for a clip without keyframes.

        Raises:
            MachineFaultError: the server stays away or refuses requests.
        """
        if not clip.keyframes:
            return {}
        video = ClipVideo.of(clip, self.config)
        answers = first_then_rest(lambda claim: self.client.probability_of_yes(video, self._question(claim)), claims)
        return dict(zip(claims, answers, strict=True))

    def _question(self, claim: Claim) -> str:
        said = self.prompt.items[claim.attribute].format(value=claim.value.rstrip("."))
        return self.prompt.text.strip().format(claim=said)
