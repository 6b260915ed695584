"""Held-out clips made into videos while a network is trained, and how much it listens to the sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from model.codecs.vae import Autoencoder, lay_out
from model.generation.sampling import Scheduler
from model.network.transformer import SoulTransformer3DModel
from training.data.conditioning import Batch
from training.monitoring.metrics import Averages
from training.monitoring.validation import (
    HeldOut,
    ValidationConfig,
    beside,
    decode_clip,
    make_clip,
    write_clip,
)
from training.parts.parts import Finish


class ClipViewer:
    """Looks at a network that makes clips; a `Viewer`.

    Args:
        transformer: the network.
        scheduler: how videos are sampled: as the result will be.
        vae: decodes videos; None when none are made. It lies in host memory, and on the device while it decodes.
        config: steps and guidance of videos.
        device: of the network.
    """

    def __init__(
        self,
        transformer: SoulTransformer3DModel,
        scheduler: Scheduler,
        vae: Autoencoder | None,
        config: ValidationConfig,
        device: torch.device,
    ) -> None:
        self.transformer = transformer
        self.scheduler = scheduler
        self.vae = vae
        self.config = config
        self.device = device

    @torch.no_grad()
    def measure(self, batch: Batch, averages: Averages) -> None:
        """Measure how much the prediction changes, relative to its size, when the sound is taken away."""
        noise = batch.random("audio-delta").normal(*batch.latents.shape[1:])
        mask = batch.frame_mask()
        latents = batch.latents * (1 - mask) + noise * mask
        timesteps = 1000.0 * (~batch.clean).float()
        velocities = [
            self.transformer(latents, timesteps, batch.text, audio, return_dict=False)[0].float() * mask
            for audio in (batch.audio, torch.zeros_like(batch.audio))
        ]
        for heard, unheard, audio in zip(*velocities, batch.audio, strict=True):
            if audio.any():
                averages.add("audio_delta", float((heard - unheard).norm() / heard.norm().clamp(min=1e-12)))

    def make(self, held_out: HeldOut) -> Finish:
        """Make the latents of a clip from its own pivot, text and sound. They are decoded when they are written: the
        decoder's peak would come on top of what the swap of the weights takes. The video shows the truth on the left:
        what the same decoder makes of the clip's own latents."""
        vae = self.vae
        if vae is None:
            return lambda _path, _averages: None
        latents = make_clip(self.transformer, self.scheduler, held_out.batch.to(self.device), self.config)

        def finish(path: Path, _averages: Averages) -> None:
            with _lent(vae, self.device):
                frames = beside(decode_clip(vae, held_out.sample.latents[None]), decode_clip(vae, latents))
            write_clip(path, frames, fps=held_out.sample.fps, wav=held_out.wav)

        return finish


@contextmanager
def _lent(vae: Autoencoder, device: torch.device) -> Iterator[None]:
    """Inside, the autoencoder is on the device."""
    home = vae.device
    lay_out(vae, device, vae.dtype)
    try:
        yield
    finally:
        vae.to(home)
