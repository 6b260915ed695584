"""Classifier-free guidance, of the text and of the sound apart.

Letters: B batch, C latent channels, F latent frames, H and W latent sides, L text tokens, T audio tokens of a latent
frame, A audio features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

Branch = Literal["full", "silent", "free"]
"""What is predicted from: text and sound, the text alone, or the negative prompt alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What a clip is made from, besides its clean frames."""

    text: Tensor
    """(B, L, text_dim) text states."""
    audio: Tensor
    """(B, F, T, A) audio features; zeros are silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """How strongly a clip is led towards its text and towards its sound.

    The velocity is free + w_text·(silent − free) + w_audio·(full − silent): `full` is predicted from text and sound,
    `silent` from the text alone, `free` from the negative prompt alone. Training drops text, sound and both, so the
    network knows all three. With w_text = w_audio = w this is free + w·(full − free), guidance as it is usually
    written. (`cond + w·(cond − uncond)` is in use elsewhere; its w is ours minus one.)
    """

    text: float = 1.0
    """w_text; 1 is none."""
    audio: float = 1.0
    """w_audio; 1 is none."""

    @classmethod
    def of(cls, guidance_scale: float, audio_guidance_scale: float | None = None) -> Self:
        """Guidance by one scale for both, or by two; a scale below 1 counts as 1."""
        audio = guidance_scale if audio_guidance_scale is None else audio_guidance_scale
        return cls(text=max(float(guidance_scale), 1.0), audio=max(float(audio), 1.0))

    @property
    def is_on(self) -> bool:
        """Whether more than the conditions themselves is predicted from."""
        return self.num_forwards > 1

    @property
    def needs_free(self) -> bool:
        """Whether the negative prompt is predicted from."""
        return self.text != 1

    @property
    def num_forwards(self) -> int:
        """Forwards of a step: one, two, or three where the scales differ and neither is 1 for the text."""
        if self.text == self.audio:
            return 1 if self.text == 1 else 2
        return 3 if self.needs_free else 2


def guide(
    predict: Callable[[Branch, Condition], Tensor],
    condition: Condition,
    *,
    free_text: Tensor | None,
    guidance: Guidance,
) -> Tensor:
    """The velocity (B, C, F, H, W) under guidance.

    Args:
        predict: the network's velocity, fp32, given which branch it is for and its condition. It is called
            `guidance.num_forwards` times, one branch after the other: a batch of them would multiply the memory.
        condition: text and sound.
        free_text: (B, L, text_dim) states of the negative prompt; not used where `guidance.needs_free` is false.
        guidance: see `Guidance`.
    """
    full = predict("full", condition)
    if not guidance.is_on:
        return full
    silence = torch.zeros_like(condition.audio)
    if not guidance.needs_free:
        silent = predict("silent", Condition(text=condition.text, audio=silence))
        return silent + guidance.audio * (full - silent)
    assert free_text is not None
    free = predict("free", Condition(text=free_text, audio=silence))
    if guidance.text == guidance.audio:
        return free + guidance.text * (full - free)
    silent = predict("silent", Condition(text=condition.text, audio=silence))
    return free + guidance.text * (silent - free) + guidance.audio * (full - silent)
