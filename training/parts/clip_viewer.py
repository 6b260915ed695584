"""Held-out clips made into videos while a network is trained, and how much it listens to the sound."""

from __future__ import annotations

from pathlib import Path

import torch

from model.codecs.vae import Autoencoder
from model.generation.sampling import Scheduler
from model.network.transformer import SoulTransformer3DModel
from training.data.conditioning import Batch
from training.distributed.trained_model import Precision, matrix_products
from training.monitoring.metrics import Averages
from training.monitoring.validation import HeldOut, ValidationConfig, decode_clip, make_clip, write_clip


class ClipViewer:
    """Looks at a network that makes clips; a `Viewer`.

    Args:
        transformer: the network.
        scheduler: how videos are sampled: as the result will be.
        vae: decodes videos; None when none are made.
        config: steps and guidance of videos.
        precision: of the network's matrix products, as in training; the autoencoder decodes in fp32.
    """

    def __init__(
        self,
        transformer: SoulTransformer3DModel,
        scheduler: Scheduler,
        vae: Autoencoder | None,
        config: ValidationConfig,
        precision: Precision,
    ) -> None:
        self.transformer = transformer
        self.scheduler = scheduler
        self.vae = vae
        self.config = config
        self.precision = precision

    @torch.no_grad()
    def measure(self, batch: Batch, averages: Averages) -> None:
        """Measure how much the prediction changes, relative to its size, when the sound is taken away."""
        noise = batch.random("audio-delta").normal(*batch.latents.shape[1:])
        mask = batch.frame_mask()
        latents = batch.latents * (1 - mask) + noise * mask
        timesteps = 1000.0 * (~batch.clean).float()
        with matrix_products(self.precision, latents.device):
            velocities = [
                self.transformer(latents, timesteps, batch.text, audio, return_dict=False)[0].float() * mask
                for audio in (batch.audio, torch.zeros_like(batch.audio))
            ]
        for heard, unheard, audio in zip(*velocities, batch.audio, strict=True):
            if audio.any():
                averages.add("audio_delta", float((heard - unheard).norm() / heard.norm().clamp(min=1e-12)))

    def show(self, held_out: HeldOut, path: Path | None, averages: Averages) -> None:  # noqa: ARG002 (nothing to measure)
        """Make a clip from its own pivot, text and sound."""
        if self.vae is None:
            return
        batch = held_out.batch.to(self.vae.device)
        with matrix_products(self.precision, batch.latents.device):
            latents = make_clip(self.transformer, self.scheduler, batch, self.config)
        if path is not None:
            write_clip(path, decode_clip(self.vae, latents), fps=held_out.sample.fps, wav=held_out.wav)
