"""One video to be made: the request, checked and encoded, and what each of its clips needs.

Letters: C latent channels, F latent frames, H and W latent sides, L text tokens, T audio tokens of a latent
frame, A audio features.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.codecs.audio import CONTEXT_STEPS, align_audio, clip_features
from model.codecs.audio_encoders import AudioEncoder
from model.codecs.geometry import TEMPORAL_COMPRESSION, pixel_frames
from model.generation.guidance import Condition, Guidance
from model.generation.timeline import ClipPlan

ProgressCallback = Callable[[int, int], None]
"""Called with the clip and the step that have just been finished, both from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRequest:
    """A request, checked and encoded."""

    pivot: Tensor
    """(1, C, 1, H, W) fp32: latent of the image."""
    waveform: Tensor
    """(N,) of the speech at 16 kHz."""
    audio_encoder: AudioEncoder
    """Hears it, clip by clip."""
    num_frames: int
    """Pixel frames of the video."""
    fps: int
    """Pixel frames a second."""
    text: Tensor
    """(1, L, text_dim) of the prompt."""
    negative_text: Tensor | None
    """(1, L, text_dim) of the negative prompt; None where guidance does not need it."""
    num_steps: int
    """Denoising steps of a clip."""
    guidance: Guidance
    """Of text and sound."""
    threshold: float | None
    """τ of the clamp of overlapping latents; None without a codebook."""
    seed: int
    """The seed that all noise derives from."""
    on_step: ProgressCallback
    """Called after every denoising step."""

    def condition(self, plan: ClipPlan, *, audio_window: int) -> Condition:
        """The text and the sound of a clip. The pivot has no sound, in the first clip too: its audio is zeros.

        `audio_window` is the number of audio steps T that the network hears at each latent frame.
        """
        return Condition(text=self.text, audio=self.sound(plan, audio_window)[None].to(self.pivot.device))

    def sound(self, plan: ClipPlan, audio_window: int) -> Tensor:
        """What a clip hears, (F, T, A) fp32: nothing at the pivot, and then what an encoded clip of these frames hears.

        An encoded clip begins with the pixel frame before its latent 1.
        """
        num_latents = 1 + len(plan.sounding)
        features = clip_features(
            self.audio_encoder,
            self.waveform,
            start_frame=TEMPORAL_COMPRESSION * (plan.sounding[0] - 1),
            num_frames=pixel_frames(num_latents),
            fps=self.fps,
        )
        windows = align_audio(
            features, range(1, num_latents), window=audio_window, fps=self.fps, first_step=-CONTEXT_STEPS
        )
        return torch.cat([torch.zeros_like(windows[:1]), windows])

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
