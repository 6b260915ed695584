"""Encoded shards made by hand: random latents in the places where training looks for them."""

import hashlib
import io
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from curation.encoding.encoded import (
    EncodedClip,
    EncodedDirectory,
    EncodedSample,
    EncodedShardWriter,
    Encoding,
    Skipped,
)
from model.codecs.audio import CONTEXT_STEPS

CHANNELS, TEXT_DIM, TEXT_TOKENS, AUDIO_DIM = 48, 64, 64, 80
FPS, STEP_RATE_HZ, SAMPLE_RATE_HZ = 25, 50, 16_000
SIDE = 16
"""Pixels of a latent position's side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSpec:
    """One clip of a made shard; its numbers are drawn from the seed and its key."""

    pool: str = "human"
    latent_frames: int = 5
    latent_height: int = 4
    latent_width: int = 4
    has_audio: bool = True
    num_references: int = 3
    num_prompts: int = 2
    num_codebook_vectors: int = 10
    encoded: bool = True
    """Whether the clip could be encoded; if not, there is only a row."""


WIDE = SampleSpec(latent_width=6)
GENERAL = SampleSpec(pool="general", has_audio=False)
NEGATIVE = SampleSpec(pool="negative", num_codebook_vectors=0, num_prompts=1)
SKIPPED = SampleSpec(encoded=False)

DEFAULT_SHARDS: tuple[tuple[SampleSpec, ...], ...] = (
    (SampleSpec(),) * 5 + (WIDE,) * 2 + (GENERAL,),
    (WIDE, SKIPPED, SampleSpec(pool="general", has_audio=False, latent_width=6)),
    (SKIPPED,),
    (SampleSpec(has_audio=False), *(NEGATIVE,) * 2, *(GENERAL,) * 3),
)
"""Uneven: 8, 2, 0 and 6 samples; 9 human, 5 general, 2 negative; 5x4x4 and 5x4x6 latents; 2 skipped."""


def make_encoded_run(
    run: Path,
    *,
    stage: str = "720p",
    shards: Sequence[Sequence[SampleSpec]] = DEFAULT_SHARDS,
    seed: int = 0,
    encoders: str = "hand-made",
) -> EncodedDirectory:
    """Write `run/encoded/<stage>`; shard i is the commit `shard-<i>`, its clips are `shard-<i>-clip-<j>`."""
    directory = EncodedDirectory(str(run / "encoded" / stage))
    directory.describe(make_encoding(stage, encoders), make_unconditional(seed))
    directory.open_session("by-hand")
    for number, specs in enumerate(shards):
        name = f"shard-{number:03d}"
        EncodedShardWriter(directory, "by-hand").write(name, _clips(name, specs, seed))
    return directory


def make_encoding(stage: str = "720p", encoders: str = "hand-made") -> Encoding:
    return Encoding(
        stage=stage,
        area=(4 * SIDE) ** 2,
        fps=FPS,
        clip_frames=17,
        latent_channels=CHANNELS,
        text_dim=TEXT_DIM,
        text_tokens=TEXT_TOKENS,
        audio_dim=AUDIO_DIM,
        audio_context_steps=CONTEXT_STEPS,
        encoders=encoders,
    )


def make_unconditional(seed: int = 0) -> torch.Tensor:
    """Text states (1, D) of an empty prompt."""
    return torch.randn(1, TEXT_DIM, generator=_generator(seed, "unconditional"))


def make_sample(spec: SampleSpec, key: str, seed: int = 0) -> EncodedSample:
    """A sample; the same for the same key and seed, whatever shard it is in."""
    generator = _generator(seed, key)
    size = (spec.latent_height, spec.latent_width)
    duration_s = (1 + 4 * (spec.latent_frames - 1)) / FPS
    num_steps = round(duration_s * STEP_RATE_HZ) + 2 * CONTEXT_STEPS
    return EncodedSample(
        key=key,
        source=f"{key}.mp4",
        pool=spec.pool,
        prompts=tuple(f"prompt {number} of {key}" for number in range(spec.num_prompts)),
        fps=FPS,
        latents=torch.randn(CHANNELS, spec.latent_frames, *size, generator=generator),
        reference_latents=torch.randn(spec.num_references, CHANNELS, *size, generator=generator),
        text_states=tuple(torch.randn(3 + number, TEXT_DIM, generator=generator) for number in range(spec.num_prompts)),
        audio_features=torch.randn(num_steps, AUDIO_DIM, generator=generator) if spec.has_audio else None,
        audio_first_step=-CONTEXT_STEPS if spec.has_audio else 0,
        wav=_wav(duration_s, generator) if spec.has_audio else None,
    )


def _clips(shard: str, specs: Sequence[SampleSpec], seed: int) -> Iterable[EncodedClip | Skipped]:
    for number, spec in enumerate(specs):
        key = f"{shard}-clip-{number:03d}"
        if not spec.encoded:
            yield Skipped(key=key, source=f"{key}.mp4", pool=spec.pool, reason="made to be skipped")
            continue
        vectors = torch.randn(spec.num_codebook_vectors, CHANNELS, generator=_generator(seed, key + "/codebook"))
        yield EncodedClip(
            sample=make_sample(spec, key, seed),
            height=SIDE * spec.latent_height,
            width=SIDE * spec.latent_width,
            codebook_vectors=vectors.numpy().astype(np.float16),
        )


def _wav(duration_s: float, generator: torch.Generator) -> bytes:
    samples = torch.randint(-3000, 3000, (round(duration_s * SAMPLE_RATE_HZ),), generator=generator)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.numpy().astype("<i2").tobytes())
    return buffer.getvalue()


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
