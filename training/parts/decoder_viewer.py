"""Held-out clips decoded by teacher and student as a video is: how far apart they are, and both side by side."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange

from model.codecs.levels import levels_of
from model.codecs.vae import StreamingDecoder
from training.data.conditioning import Batch
from training.monitoring.metrics import Averages
from training.monitoring.validation import HeldOut, write_clip
from training.objectives.decoder.decoder import DecoderDistillation
from training.objectives.decoder.fidelity import Fidelity
from training.parts.parts import Finish


class DecoderViewer:
    """Looks at a decoder under training; a `Viewer`."""

    def __init__(self, objective: DecoderDistillation) -> None:
        self.objective = objective

    def measure(self, batch: Batch, averages: Averages) -> None:
        """Measure nothing: a decoder is given no sound that could be taken away."""

    @torch.no_grad()
    def make(self, held_out: HeldOut) -> Finish:
        """Decode a whole clip: PSNR, SSIM and LPIPS against the teacher's; the video shows the teacher on the left.

        What is made with the weights under training are pixels, so it is here that they are decoded, a latent frame
        after the other; they wait in host memory until they are written.
        """
        objective = self.objective
        fidelity = Fidelity(objective.perceptual)
        latents = held_out.batch.latents.to(objective.teacher.device)
        pairs = []
        teacher, student = (StreamingDecoder(vae).frames(latents) for vae in (objective.teacher, objective.student))
        for theirs, ours in zip(teacher, student, strict=True):
            fidelity.add(ours, theirs)
            pairs.append(rearrange(levels_of(torch.cat([theirs, ours], dim=-1)), "1 c t h w -> t h w c").cpu())
        frames = torch.cat(pairs).numpy()

        def finish(path: Path, averages: Averages) -> None:
            for name, value in fidelity.values().items():
                averages.add(f"validation_{name}", value)
            write_clip(path, frames, fps=held_out.sample.fps, wav=held_out.wav)

        return finish
