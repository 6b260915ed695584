"""Pipelines, pictures and sounds for the tests: small, and with a network whose answer is known."""

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers.models.cache_utils import CacheMixin
from einops import repeat
from PIL import Image
from torch import Tensor, nn

from model.codecs.vae import encode_video
from model.generation.codebook import Codebook
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.pretrained.assemble import build_pipeline

RATE_HZ = 16_000
SMALL = 64 * 64


class OracleTransformer(nn.Module, CacheMixin):
    """A network that knows x₀: a picture as bright as the sound of the latent frame's own steps, black in silence.

    Its velocity (x − x₀)/σ is exact, so every sampler ends in x₀ for any number of steps.
    """

    def __init__(self, silent: Tensor, loud: Tensor) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(()))
        self.config = SimpleNamespace(audio_window=16)
        self.silent, self.loud = silent, loud
        self.calls: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def forward(
        self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor, return_dict: bool = True
    ) -> tuple[Tensor]:
        self.calls.append((latents.clone(), timesteps.clone(), text.clone(), audio.clone()))
        sounds = audio[:, :, 4:12].abs().amax(dim=(2, 3)) > 0.05
        silent, loud = (x.expand_as(latents[:, :, :1]) for x in (self.silent, self.loud))
        target = torch.where(repeat(sounds, "b f -> b 1 f 1 1"), loud, silent)
        sigma = repeat(timesteps / 1000, "b f -> b 1 f 1 1").clamp(min=1e-6)
        return ((latents - target) / sigma,)


def oracle_pipeline(**config: Any) -> SoulPipeline:
    """A `tiny` pipeline whose network is an oracle: white where there is sound, black where there is none."""
    pipeline = build_pipeline("tiny", num_inference_steps=2, guidance_scale=1.0, area=SMALL, **config)
    silent, loud = flat_latent(pipeline, -1.0), flat_latent(pipeline, 1.0)
    pipeline.register_modules(transformer=OracleTransformer(silent, loud))
    return pipeline


def flat_latent(pipeline: SoulPipeline, level: float) -> Tensor:
    """Latent (1, C, 1, 1, 1) of a grey picture."""
    return encode_video(pipeline.vae, torch.full((1, 3, 1, 16, 16), level))


def asked(
    image: Image.Image | None = None, audio: Tensor | None = None, prompt: str = "a person speaks", **sampling: Any
) -> VideoRequest:
    """A request; by default, of a gradient and a second of noise."""
    return VideoRequest(
        image=picture() if image is None else image,
        audio=noise(1.0) if audio is None else audio,
        prompt=prompt,
        sampling=Sampling(**sampling),
    )


def small_pipeline(**config: Any) -> SoulPipeline:
    """A `tiny` pipeline with random weights, one step a clip and a small size."""
    return build_pipeline("tiny", num_inference_steps=1, guidance_scale=1.0, area=SMALL, **config)


def make_codebook(seed: int = 0) -> Codebook:
    generator = torch.Generator().manual_seed(seed)
    return Codebook(
        centroids=torch.randn(200, 48, generator=generator) * 0.5,
        counts=torch.ones(200, dtype=torch.long),
        distance_quantiles=torch.linspace(0, 4, 101),
    )


def picture(width: int = 80, height: int = 80) -> Image.Image:
    """A gradient: every pixel differs from every other."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1)
    return Image.fromarray(np.stack([red, green, np.full_like(x, 128)], axis=-1).astype(np.uint8))


def noise(seconds: float, seed: int = 0) -> Tensor:
    """Sound (N,) at 16 kHz."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(round(seconds * RATE_HZ), generator=generator) * 0.1


def click(seconds: float, at_s: float) -> Tensor:
    """Silence (N,) at 16 kHz with a click."""
    waveform = torch.zeros(round(seconds * RATE_HZ))
    waveform[round(at_s * RATE_HZ)] = 1.0
    return waveform


def write_wav(path: Path, waveform: Tensor | np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    """Write (N,) or (N, channels) as 16-bit PCM."""
    samples = np.asarray(waveform)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
