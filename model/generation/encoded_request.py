"""One video to be made: the request, checked and encoded, and what each of its clips needs.

Letters: C latent channels, F latent frames, H and W latent sides, L text tokens, T audio tokens of a latent
frame, A audio features.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.codecs.audio import AudioFeatures
from model.generation.sampling import Condition
from model.generation.timeline import ClipPlan

ProgressCallback = Callable[[int, int], None]
"""Called with the clip and the step that have just been finished, both from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRequest:
    """A request, checked and encoded."""

    pivot: Tensor
    """(1, C, 1, H, W) fp32: latent of the image."""
    audio: AudioFeatures
    """Features of the speech, computed when a clip asks for them."""
    num_frames: int
    """Pixel frames of the video."""
    fps: int
    """Pixel frames a second."""
    text: Tensor
    """(1, L, text_dim) of the prompt."""
    negative_text: Tensor | None
    """(1, L, text_dim) of the negative prompt; None without guidance."""
    num_steps: int
    """Denoising steps of a clip."""
    guidance_scale: float
    """w of uncond + w·(cond − uncond)."""
    threshold: float | None
    """τ of the clamp of overlapping latents; None without a codebook."""
    seed: int
    """The seed that all noise derives from."""
    on_step: ProgressCallback
    """Called after every denoising step."""

    def conditions(self, plan: ClipPlan, *, audio_window: int) -> tuple[Condition, Condition | None]:
        """The condition of a clip, and that of its unconditional branch (None without guidance).

        The pivot has no sound, in the first clip too: its audio is zeros. `audio_window` is the number of audio steps T
        that the network hears at each latent frame.
        """
        sound = self.audio.of_latents(plan.sounding, window=audio_window, fps=self.fps)
        audio = torch.cat([torch.zeros_like(sound[:1]), sound])[None].to(self.pivot.device)
        condition = Condition(text=self.text, audio=audio)
        if self.negative_text is None:
            return condition, None
        return condition, Condition(text=self.negative_text, audio=torch.zeros_like(audio))

    def noise(self, plan: ClipPlan) -> tuple[Tensor, torch.Generator]:
        """A clip's noise (1, C, F, H, W) fp32, and the generator that drew it and may draw more.

        Each clip has its own seed, so its noise depends only on the request's seed and the clip's index. Noise is
        drawn on the CPU, so it is the same on every device.
        """
        digest = hashlib.blake2b(f"{self.seed}/{plan.index}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
        batch, channels, _, height, width = self.pivot.shape
        noise = torch.randn(batch, channels, plan.num_latents, height, width, generator=generator)
        return noise.to(self.pivot.device), generator
