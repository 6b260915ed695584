"""The verdict of a second model on image, texts and recording (paper, Sec. 4.2, step 2)."""

from __future__ import annotations

from typing import Annotated, Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.builder.briefs import Brief
from bench.builder.spec import VerdictConfig
from bench.builder.structured_output import Reply, ask
from bench.builder.texts import Texts, describe
from infra.served.chat import image_part, text_part

PROMPT_VERSION: Final = "1"
"""Raised whenever a word of the instructions changes."""
INSTRUCTIONS: Final = """\
You check test cases for systems that turn one still image, one recording and one description into a video in which \
the subject talks or sings. You see the image, the texts and how long the recording lasts; they were generated and may \
be wrong. Be strict: a flawed case spoils the comparison of every system.

Grade each from 1 (useless) to 5 (flawless):
- image_fidelity: free of artefacts: hands, teeth, eyes, doubled limbs, garbled lettering, watermarks.
- brief_match: the image shows what the brief asks for: subject, style, framing, place, what is worn and held.
- message: natural, correct, fits the subject, possible to say in the time it lasts.
- scene_text: the description is reasonable: it agrees with the image, is physically possible in one shot, and the \
Chinese says the same as the English.
- suitability: exactly one subject whose face and mouth are visible and can be animated.

approved is true only if you would put the case into a public benchmark as it is. reason says in one or two sentences \
what decided, and for a rejected case what should be different."""

Grade = Annotated[int, Field(ge=1, le=5)]


class Verdict(Reply):
    """What the second model concludes about one test case."""

    image_fidelity: Grade
    brief_match: Grade
    message: Grade
    scene_text: Grade
    suitability: Grade
    reason: str
    approved: bool

    @property
    def grades(self) -> dict[str, int]:
        """By name."""
        return self.model_dump(exclude={"reason", "approved"})

    def passes(self, min_grade: int) -> bool:
        """Whether the judge approves and no grade is below `min_grade`."""
        return self.approved and min(self.grades.values()) >= min_grade


def judge(
    config: VerdictConfig, brief: Brief, texts: Texts, *, pixels: npt.NDArray[np.uint8], duration_s: float, seed: int
) -> Verdict:
    """The verdict of the second model.

    Args:
        config: of the judge.
        brief: what was asked for.
        texts: what was written.
        pixels: the image, `(H, W, 3)` BGR.
        duration_s: how long the recording lasts, as measured.
        seed: of sampling.

    Raises:
        StepFailedError: it gave no verdict.
        NotNowError: the server gave no answer.
    """
    told = (
        f"Brief:\n{describe(brief)}\n\n"
        f"message ({duration_s:.1f} seconds as recorded): {texts.message}\n\n"
        f"en_prompt: {texts.en_prompt}\n\ncn_prompt: {texts.cn_prompt}\n\n"
        f"attributes: {texts.age} years, {texts.nationality}, {texts.personality}; likes {', '.join(texts.hobbies)}"
    )
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": [image_part(shrunk(pixels, config.long_edge_px)), text_part(told)]},
    ]
    return ask(config, Verdict, messages, temperature=0, max_tokens=config.max_tokens, seed=seed)


def shrunk(pixels: npt.NDArray[np.uint8], long_edge_px: int) -> npt.NDArray[np.uint8]:
    """The image scaled down so that its long edge fits; smaller ones stay as they are."""
    scale = long_edge_px / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
