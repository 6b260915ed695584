"""Drawn faces as encoded shards, ready to train on, with their truth in a file beside them.

`RUN/encoded/720p/` holds the shards in the format of `curation.encoding.encoded`. `RUN/truth.jsonl` has a first line
that says what the dataset was made from, then a line for each clip. It is written last: if it is there, all is.

Letters: C latent channels, F latent frames, H and W latent sides, N references, T pixel frames.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from einops import rearrange
from torch import Tensor

from bench.studies.talking_faces.identity import PARTS
from bench.studies.talking_faces.performance import FPS, Performance, Take, draw_performance, perform
from bench.studies.talking_faces.prompt import captions
from curation.encoding.encoded import EncodedClip, EncodedDirectory, EncodedSample, EncodedShardWriter, Encoding
from model.codecs.audio import CONTEXT_STEPS, SAMPLE_RATE_HZ, clip_features
from model.codecs.geometry import fills_latents
from model.codecs.levels import pixels_of
from model.codecs.text import HashedTextEncoder
from model.codecs.vae import Autoencoder, encode_video
from model.pretrained.assemble import build_components
from model.pretrained.presets import get_preset

STAGE: Final = "720p"
TRUTH_FILE: Final = "truth.jsonl"
_SAMPLES_PER_FRAME: Final = SAMPLE_RATE_HZ // FPS
_TRAINING, _HELD_OUT, _CUTTING = 0, 1, 2
_NAMES: Final = {"PatchDCTCodec": "patch-dct", "AutoencoderKLWan": "a small Wan VAE"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FacesConfig:
    """How much is drawn, and from which seed."""

    num_videos: int = 600
    """Videos, each of another person with other speech."""
    clips_per_video: int = 3
    """Clips cut out of a video, one after another with random gaps."""
    clip_frames: int = 49
    """Pixel frames of a clip, 4k + 1: 49 are 13 latents, about two swings of the head. (The paper's 109 cost a CPU
    more than twice as much a clip and teach nothing more here.)"""
    num_references: int = 8
    """Single frames of the video, at random: the pool that the pivot is drawn from."""
    codebook_share: int = 48
    """Latent positions that a clip gives to the codebook."""
    size: int = 96
    """Side of the pictures in pixels, divisible by 32."""
    swing: float = 1.0
    """How far heads swing, see `draw_performance`."""
    videos_per_shard: int = 40
    """Videos of one shard."""
    seed: int = 0
    """What everything derives from."""

    def __post_init__(self) -> None:
        """Refuse what cannot be encoded."""
        if not fills_latents(self.clip_frames) or self.size % 32:
            raise ValueError(f"clips have 4k + 1 frames and sides divide by 32, not {self.clip_frames} and {self.size}")

    @property
    def duration_s(self) -> float:
        """Of a video: its clips, and a quarter more for gaps."""
        return round(1.25 * self.clips_per_video * self.clip_frames) / FPS


def training_performance(config: FacesConfig, index: int) -> Performance:
    """The `index`-th video that is trained on."""
    return _performance(config.seed, _TRAINING, index, config.duration_s, config.swing)


def held_out_performance(index: int, *, duration_s: float, seed: int = 0, swing: float = 1.0) -> Performance:
    """The `index`-th video that no training sees: another person and another speech."""
    return _performance(seed, _HELD_OUT, index, duration_s, swing)


def make_dataset(run: str | Path, config: FacesConfig, *, vae: Autoencoder | None = None) -> None:
    """Draw, encode and commit all shards, then write the truth; nothing is done if it is there already.

    Args:
        run: directory to write into.
        config: how much is drawn.
        vae: encodes the pictures; the patch-DCT codec by default.

    Raises:
        ValueError: the run holds faces of another configuration.
    """
    truth_file = Path(run) / TRUTH_FILE
    made_from: dict[str, Any] = {"made_from": asdict(config)}
    if truth_file.is_file():
        with truth_file.open() as lines:
            if json.loads(next(lines)) != made_from:
                raise ValueError(f"{truth_file} was made with other settings; use another run directory, or delete it")
        return
    directory = EncodedDirectory(f"{run}/encoded/{STAGE}")
    encoder = FaceEncoder(config, vae)
    directory.describe(encoder.encoding(), encoder.text_states(""))
    session = f"faces-{config.seed}"
    directory.open_session(session)
    writer = EncodedShardWriter(directory, session)
    truths: list[dict[str, Any]] = []
    for first in range(0, config.num_videos, config.videos_per_shard):
        videos = range(first, min(first + config.videos_per_shard, config.num_videos))
        writer.write(f"faces-{first:05d}", _clips(encoder, config, videos, truths))
    aside = truth_file.with_suffix(".tmp")
    aside.write_text("".join(f"{json.dumps(line)}\n" for line in (made_from, *truths)))
    aside.replace(truth_file)


def read_truth(run: str | Path) -> dict[str, dict[str, Any]]:
    """Truth of each clip by its key: `opening` of each frame, `motion`, colours in CIELAB."""
    with (Path(run) / TRUTH_FILE).open() as lines:
        next(lines)
        return {line["key"]: line for line in map(json.loads, lines)}


class FaceEncoder:
    """Encodes takes with the parts of the `tiny` preset, as `make encode` would; `vae` replaces its codec."""

    def __init__(self, config: FacesConfig, vae: Autoencoder | None = None) -> None:
        self.config = config
        parts = build_components(get_preset("tiny"))
        self.vae: Autoencoder = vae or parts["vae"]
        self.audio_encoder = parts["audio_encoder"]
        self.text_encoder: HashedTextEncoder = parts["text_encoder"]

    def encoding(self) -> Encoding:
        """What all clips have in common."""
        network = get_preset("tiny").transformer
        return Encoding(
            stage=STAGE,
            area=self.config.size**2,
            fps=FPS,
            clip_frames=self.config.clip_frames,
            latent_channels=network.in_channels,
            text_dim=network.text_dim,
            text_tokens=int(self.text_encoder.config.max_tokens),
            audio_dim=network.audio_dim,
            audio_context_steps=CONTEXT_STEPS,
            encoders=f"tiny: {_NAMES[type(self.vae).__name__]}, log-mel, hashed",
        )

    @torch.no_grad()
    def text_states(self, prompt: str) -> Tensor:
        """(L, D) without padding."""
        return self.text_encoder.encode(prompt)

    def latents(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Frames (B, T, S, S, 3) to normalised latents (B, C, F, H, W)."""
        levels = rearrange(torch.from_numpy(frames), "b t h w c -> b c t h w")
        return encode_video(self.vae, pixels_of(levels))

    def clip(self, key: str, performance: Performance, take: Take, start: int, rng: np.random.Generator) -> EncodedClip:
        """The clip that begins at frame `start` of a take; `rng` draws its references and codebook vectors."""
        config, stop = self.config, start + self.config.clip_frames
        latents = self.latents(take.frames[None, start:stop])[0]
        references = take.frames[rng.choice(len(take.frames), config.num_references, replace=False)]
        vectors = rearrange(latents, "c f h w -> (f h w) c").numpy()
        prompts = captions(performance.identity, performance.motion)
        sample = EncodedSample(
            key=key,
            source=key.rpartition("-")[0],
            pool="human",
            prompts=prompts,
            fps=FPS,
            latents=latents,
            reference_latents=self.latents(references[:, None])[:, :, 0],
            text_states=tuple(self.text_states(prompt) for prompt in prompts),
            audio_features=clip_features(
                self.audio_encoder, take.waveform, start_frame=start, num_frames=config.clip_frames, fps=FPS
            ),
            audio_first_step=-CONTEXT_STEPS,
            wav=_wav(take.waveform[start * _SAMPLES_PER_FRAME : stop * _SAMPLES_PER_FRAME]),
        )
        chosen = rng.choice(len(vectors), min(config.codebook_share, len(vectors)), replace=False)
        return EncodedClip(
            sample=sample,
            height=config.size,
            width=config.size,
            codebook_vectors=vectors[chosen].astype(np.float16),
        )


def _performance(seed: int, split: int, index: int, duration_s: float, swing: float) -> Performance:
    rng = np.random.default_rng([seed, split, index])
    # Each split and seed has a range of its own, so that no speech occurs in two of them.
    speech_seed = (2 * seed + split) * 1_000_000 + index
    return draw_performance(rng, duration_s=duration_s, speech_seed=speech_seed, swing=swing)


def _clips(
    encoder: FaceEncoder, config: FacesConfig, videos: range, truths: list[dict[str, Any]]
) -> Iterator[EncodedClip]:
    """The clips of some videos; what is true of each is appended to `truths`."""
    for index in videos:
        performance = training_performance(config, index)
        take = perform(performance, size=config.size)
        rng = np.random.default_rng([config.seed, _CUTTING, index])
        for number, start in enumerate(_starts(config, len(take.frames), rng)):
            key = f"face{index:05d}-{number}"
            truths.append(
                {
                    "key": key,
                    "first_frame": start,
                    "motion": performance.motion.value,
                    "colours": {part: performance.identity.lab(part) for part in PARTS},
                    "opening": take.opening[start : start + config.clip_frames].round(4).tolist(),
                }
            )
            yield encoder.clip(key, performance, take, start, rng)


def _starts(config: FacesConfig, num_frames: int, rng: np.random.Generator) -> list[int]:
    """First frames of clips that do not overlap, the gaps between them random."""
    spare = num_frames - config.clips_per_video * config.clip_frames
    gaps = np.sort(rng.integers(0, spare + 1, config.clips_per_video))
    return [int(gap) + number * config.clip_frames for number, gap in enumerate(gaps)]


def _wav(waveform: Tensor) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.numpy(), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
