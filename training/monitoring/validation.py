"""Validation while a training goes on: held-out samples, and the videos that are made from them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from curation.encoding.encoded import BadSampleError, EncodedSample
from infra.storage.files import naming
from infra.storage.write_errors import NotWrittenError, writing
from model.codecs.levels import levels_of
from model.codecs.vae import Autoencoder, StreamingDecoder
from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, Scheduler, denoise
from model.media.video import VideoWriter
from model.network.transformer import SoulTransformer3DModel
from training.data.conditioning import Batch, Conditioner
from training.data.index import Integers
from training.data.loader import SampleReader
from training.data.randomness import seed_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """What is validated, and how often."""

    every: int = 500
    """Optimizer steps between two validations; 0 never validates."""
    videos: int = 4
    """Held-out clips that are made into videos."""
    loss_samples: int = 32
    """Held-out clips whose loss is measured."""
    steps: int = 25
    """Denoising steps of a video."""
    guidance_scale: float = 5.0
    """Guidance of a video by text and sound; 1 is none."""
    audio_guidance_scale: float | None = None
    """Guidance by the sound, where it is to differ."""

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if min(self.every, self.videos, self.loss_samples) < 0 or self.steps < 1:
            raise ValueError("validation.every, videos and loss_samples are at least 0, validation.steps at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """A held-out sample, ready for the network."""

    sample: EncodedSample
    batch: Batch
    wav: bytes | None

    @property
    def video_title(self) -> str:
        """What its videos are logged under."""
        return f"validation/{self.sample.key}"

    @property
    def prompt_title(self) -> str:
        """What its prompt is logged under: TensorBoard shows one kind of thing under a name."""
        return f"prompt/{self.sample.key}"


def load_held_out(
    rows: Integers, reader: SampleReader, conditioner: Conditioner, num: int, say: Callable[[str], None]
) -> list[HeldOut]:
    """Up to `num` held-out samples, evenly chosen. Damaged ones are left out, and `say` is given a line on them."""
    chosen = rows[np.linspace(0, len(rows) - 1, min(num, len(rows))).astype(int)] if len(rows) else rows
    loaded, damaged = [], []
    for row in dict.fromkeys(chosen.tolist()):
        try:
            sample = reader.read(row)
            loaded.append(HeldOut(sample=sample, batch=conditioner.unvaried(sample), wav=reader.read_wav(row)))
        except BadSampleError as error:
            damaged.append(f"{reader.samples.location(row).key}: {error}")
    if damaged:
        say(
            f"{len(damaged)} of {len(loaded) + len(damaged)} held-out samples are damaged and left out of the "
            f"validation, the first {damaged[0]}"
        )
    return loaded


@torch.no_grad()
def make_clip(
    transformer: SoulTransformer3DModel, scheduler: Scheduler, batch: Batch, config: ValidationConfig
) -> Tensor:
    """Latents (1, C, F, H, W) of one clip from its pivot, text and sound."""
    generator = torch.Generator().manual_seed(seed_of(batch.seed, "video", *batch.numbers))
    noise = torch.randn(batch.latents.shape, generator=generator).to(batch.latents.device)
    return denoise(
        transformer,
        scheduler,
        noise,
        CleanFrames(latents=batch.latents[:, :, :1]),
        condition=Condition(text=batch.text, audio=batch.audio),
        free_text=batch.unconditional().text,
        guidance=Guidance.of(config.guidance_scale, config.audio_guidance_scale),
        num_steps=config.steps,
        generator=generator,
        on_step=lambda _step: None,
    )


@torch.no_grad()
def decode_clip(vae: Autoencoder, latents: Tensor) -> np.ndarray:
    """Frames (T, 16H, 16W, 3) uint8 RGB of a clip's latents, the pivot's first."""
    # Latent by latent: as floats on the device, all frames at 1088×1920 would take 2.7 GB, twice.
    parts = [levels_of(pixels[0]).cpu() for pixels in StreamingDecoder(vae).frames(latents)]
    frames: np.ndarray = rearrange(torch.cat(parts, dim=1), "c t h w -> t h w c").numpy()
    return frames


def beside(truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Frames (T, H, 2W, 3) of two videos (T, H, W, 3) of one length side by side, the truth on the left."""
    return np.concatenate([truth, made], axis=2)


def write_clip(path: Path, frames: np.ndarray, *, fps: int, wav: bytes | None) -> None:
    """Write frames as an mp4, with their sound when there is one.

    Raises:
        NotWrittenError: it could not be written; nothing of it is left.
    """
    height, width = frames.shape[1:3]
    try:
        with writing(path, then="the same command goes on from the last checkpoint"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _file_of(wav) as audio, VideoWriter(path, height=height, width=width, fps=fps, audio=audio) as writer:
                writer.write(frames)
    except NotWrittenError:
        for suffix in (".part.mp4", ".tmp.mp4"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        raise


def share_of(items: Sequence[HeldOut], rank: int, num_ranks: int) -> list[tuple[HeldOut, bool]]:
    """A rank's items, as many as every other rank's, each with whether its outcome counts.

    With ZeRO-3 the ranks need each other in every forward, so all must make the same number of forwards. Where the
    items cannot be shared out evenly, a rank without an item repeats that of another, and its outcome does not count:
    two ranks must not write the same video.
    """
    places = range(rank, -(-len(items) // num_ranks) * num_ranks, num_ranks)
    return [(items[place % len(items)], place < len(items)) for place in places]


@contextmanager
def _file_of(wav: bytes | None) -> Iterator[Path | None]:
    if wav is None:
        yield None
        return
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with naming(file.name):
            file.write(wav)
            file.flush()
        yield Path(file.name)
