"""The encoders on their device: from pixels, sound and words to the tensors that are stored.

Letters: C latent channels, F frames, H and W sides, N pictures, L text tokens, D width of text states, T audio steps,
A features of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from diffusers.utils import logging as diffusers_logging
from einops import rearrange
from torch import Tensor

from curation.encoding.config import EncodeConfig
from curation.encoding.encoded import Encoding
from curation.encoding.fingerprint import encoders_fingerprint
from curation.encoding.frames import Pixels
from curation.encoding.waveform import Sound
from infra.config import ConfigError
from model.codecs.audio import CONTEXT_STEPS, clip_features
from model.codecs.levels import pixels_of
from model.codecs.text import max_text_tokens, text_states
from model.codecs.vae import encode_video, lay_out, vae_dtype
from model.pretrained.assemble import ENCODERS, load_encoders
from model.pretrained.presets import PRESETS

LIGHT_BYTES: Final = 1 << 30


def is_light(source: str) -> bool:
    """Whether any machine loads the encoders of a model quickly: they are a preset's, or less than 1 GiB of files."""
    folder = Path(source)
    if not folder.is_dir():
        return source in PRESETS
    folders = [folder / name for name in ENCODERS]
    return sum(file.stat().st_size for each in folders for file in each.glob("*") if file.is_file()) < LIGHT_BYTES


class ClipEncoder:
    """Loaded encoders; every result is on the CPU, in fp16 as it is stored."""

    def __init__(self, source: str, config: EncodeConfig) -> None:
        """Load.

        Raises:
            ConfigError: the model or the device is not there.
        """
        diffusers_logging.disable_progress_bar()
        device = config.device if config.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = config.dtype if config.dtype != "auto" else ("bfloat16" if device.startswith("cuda") else "float32")
        self.config = config
        self.source = source
        self.dtype = dtype
        try:
            encoders = load_encoders(source, dtype=getattr(torch, dtype))
        except ValueError as error:
            raise ConfigError(str(error)) from error
        try:
            self.vae = lay_out(encoders.vae, device, vae_dtype(config.vae_dtype, device))
            self.audio_encoder = encoders.audio_encoder.to(device)
            self.text_encoder = encoders.text_encoder.to(device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device {device}: {str(error).partition(chr(10))[0]}") from error
        self.tokenizer = encoders.tokenizer
        self.device = device
        self.encoders = encoders

    def video(self, frames: Pixels) -> Tensor:
        """RGB (F, 16H, 16W, 3) to latents (C, 1 + (F − 1)/4, H, W)."""
        return self._latents(rearrange(torch.from_numpy(frames), "f h w c -> 1 c f h w"))[0]

    def pictures(self, pictures: Sequence[Pixels]) -> Tensor:
        """N pictures, RGB (16H, 16W, 3), to latents (N, C, H, W), each one encoded as a video of one frame."""
        size = self.config.reference_batch
        batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
        stacks = [torch.stack([torch.from_numpy(picture) for picture in batch]) for batch in batches]
        return torch.cat([self._latents(rearrange(stack, "n h w c -> n c 1 h w")) for stack in stacks])[:, :, 0]

    def words(self, prompts: Sequence[str]) -> tuple[Tensor, ...]:
        """States (L, D) of each prompt, without padding."""
        return tuple(state.half().cpu() for state in text_states(self.text_encoder, self.tokenizer, prompts))

    @torch.no_grad()
    def sound(self, sound: Sound) -> Tensor:
        """A clip's sound to features (T, A); the first step is `CONTEXT_STEPS` before the window."""
        features = clip_features(
            self.audio_encoder,
            sound.waveform.to(self.device),
            start_frame=sound.start,
            num_frames=sound.num_frames,
            fps=self.config.fps,
        )
        return features.half().cpu()

    def encoding(self, stage: str) -> Encoding:
        """What all samples of a stage will have in common."""
        return Encoding(
            stage=stage,
            area=self.config.target(stage).area,
            fps=self.config.fps,
            clip_frames=self.config.clip_frames,
            latent_channels=int(self.vae.config.z_dim),
            text_dim=self.words(["a"])[0].shape[1],
            text_tokens=max_text_tokens(self.text_encoder),
            audio_dim=int(self.audio_encoder.audio_dim),
            audio_context_steps=CONTEXT_STEPS,
            encoders=encoders_fingerprint(self.encoders),
            model=self.source,
            settings=self.config.settings
            | {"dtype": self.dtype, "vae_dtype": str(self.vae.dtype).removeprefix("torch.")},
        )

    def _latents(self, levels: Tensor) -> Tensor:
        """Levels (B, 3, F, 16H, 16W) uint8 to latents."""
        return encode_video(self.vae, pixels_of(levels.to(self.device))).half().cpu()
