"""Failure cases: clips that the model makes under a negative prompt from encoded human clips (paper, Sec. 3.2,
"Hybrid-modality training with negative guidance").

The paper trains on "human-related failure cases" synthesised with negative prompts and says no more. Ours are made from
a clip's own reference as the pivot, its own sound, and the negative prompt, which becomes the caption. So the network
learns the meaning of the words that guidance later leads away from.

Letters: B batch, C latent channels, F latent frames, H and W latent sides, L text tokens, D width of text states.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import (
    NEGATIVE,
    BadSampleError,
    EncodedClip,
    EncodedDirectory,
    EncodedSample,
    Skipped,
)
from infra.config import ConfigError
from model.codecs.text import encode_text
from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, Scheduler, denoise
from model.network.transformer import SoulTransformer3DModel
from training.data.conditioning import audio_windows, padded
from training.data.index import Location
from training.data.loader import read_sample, read_wav
from training.data.randomness import seed_of
from training.negatives.candidates import digest, negative_key
from training.negatives.config import NegativesConfig
from training.parts.fit import check_fit


def settings_digest(config: NegativesConfig, transformer: SoulTransformer3DModel) -> str:
    """Eight hexadecimal digits that change with anything that changes the clips, the network's weights included."""
    weights = _weights_digest(transformer)
    return digest(config.prompt, config.num_steps, config.guidance_scale, config.seed, weights)[:8]


class NegativeMaker:
    """Denoises human samples under the negative prompt.

    Args:
        transformer: the network, on the device that is to be used.
        scheduler: a scheduler of flow matching.
        directory: where the samples lie.
        states: (L, D) text states of the negative prompt, see `encode_prompt`.
        config: steps, guidance and seed.
        on_steps: called with a number of denoising steps: those that were done, counted for each clip, and those that
            a damaged clip does not need.

    Raises:
        ConfigError: the network does not fit the encoded shards.
    """

    def __init__(
        self,
        transformer: SoulTransformer3DModel,
        scheduler: Scheduler,
        directory: EncodedDirectory,
        *,
        states: Tensor,
        config: NegativesConfig,
        on_steps: Callable[[int], None] = lambda _steps: None,
    ) -> None:
        self.transformer = transformer
        self.scheduler = scheduler
        self.directory = directory
        self.states = states.cpu()
        self.config = config
        self.on_steps = on_steps
        self.settings = settings_digest(config, transformer)
        self.encoding = directory.encoding()
        check_fit(transformer, self.encoding, directory.path)
        self._text = padded(self.states, self.encoding.text_tokens)
        self._free_text = padded(directory.unconditional(), self.encoding.text_tokens)

    def clips(self, candidates: Sequence[Location]) -> Iterator[EncodedClip | Skipped]:
        """A failure case of each candidate; of a damaged one, a record that says why there is none."""
        for bucket, group in groupby(candidates, key=lambda candidate: candidate.bucket):
            same_shape = list(group)
            for start in range(0, len(same_shape), self.config.batch_size):
                yield from self._batch(same_shape[start : start + self.config.batch_size], bucket)

    def _batch(self, candidates: Sequence[Location], bucket: Bucket) -> Iterator[EncodedClip | Skipped]:
        loaded: list[tuple[Location, EncodedSample]] = []
        for candidate in candidates:
            try:
                loaded.append((candidate, self._load(candidate)))
            except BadSampleError as error:
                self.on_steps(self.config.num_steps)
                yield self._skipped(candidate, str(error))
        if not loaded:
            return
        latents = self.denoise([sample for _, sample in loaded])
        for (candidate, sample), made in zip(loaded, latents.half(), strict=True):
            if not torch.isfinite(made).all():
                yield self._skipped(candidate, "the network made NaN or infinity of it")
                continue
            negative = replace(
                sample,
                key=negative_key(candidate, self.settings),
                pool=NEGATIVE,
                prompts=(self.config.prompt,),
                text_states=(self.states,),
                latents=made,
            )
            # The codebook is of real latents, so generated ones must not enter it.
            vectors = np.empty((0, self.encoding.latent_channels), np.float16)
            yield EncodedClip(sample=negative, height=bucket.height, width=bucket.width, codebook_vectors=vectors)

    @torch.no_grad()
    def denoise(self, samples: Sequence[EncodedSample]) -> Tensor:
        """Clips (B, C, F, H, W) fp32 on the CPU; frame 0 is the pivot."""
        device = self.transformer.device
        window = int(self.transformer.config.audio_window)
        pivots, noise = zip(*(self._drawn(sample) for sample in samples), strict=True)
        audio = torch.stack(
            [audio_windows(sample, window=window, audio_dim=self.encoding.audio_dim) for sample in samples]
        ).to(device)
        latents = denoise(
            self.transformer,
            self.scheduler,
            torch.stack(noise).to(device),
            CleanFrames(latents=torch.stack(pivots).to(device)),
            condition=Condition(text=self._repeated(self._text, samples), audio=audio),
            free_text=self._repeated(self._free_text, samples),
            guidance=Guidance.of(self.config.guidance_scale),
            num_steps=self.config.num_steps,
            generator=torch.Generator().manual_seed(
                seed_of(self.config.seed, "steps", *(sample.key for sample in samples))
            ),
            on_step=lambda _step: self.on_steps(len(samples)),
        )
        on_cpu: Tensor = latents.cpu()
        return on_cpu

    def _drawn(self, sample: EncodedSample) -> tuple[Tensor, Tensor]:
        """A pivot (C, 1, H, W) and noise (C, F, H, W), which depend only on the seed and the sample's key."""
        reference = random.Random(seed_of(self.config.seed, "pivot", sample.key)).randrange(
            len(sample.reference_latents)
        )
        generator = torch.Generator().manual_seed(seed_of(self.config.seed, "noise", sample.key))
        noise = torch.randn(sample.latents.shape, generator=generator)
        return sample.reference_latents[reference, :, None].float(), noise

    def _load(self, candidate: Location) -> EncodedSample:
        """Read a sample with its sound, and check that it is what its bucket says."""
        sample = read_sample(self.directory, self.encoding, candidate)
        return replace(sample, wav=read_wav(self.directory, candidate))

    def _skipped(self, candidate: Location, reason: str) -> Skipped:
        key = negative_key(candidate, self.settings)
        return Skipped(key=key, source=candidate.source, pool=NEGATIVE, reason=reason)

    def _repeated(self, text: Tensor, samples: Sequence[EncodedSample]) -> Tensor:
        return text.to(self.transformer.device).expand(len(samples), *text.shape)


def encode_prompt(text_encoder: Any, tokenizer: Any, prompt: str) -> Tensor:
    """Text states (L, D) of a prompt without the padding, fp32 on the CPU.

    Raises:
        ConfigError: the prompt has no words.
    """
    states = encode_text(text_encoder, tokenizer, [prompt])[0].float().cpu()
    # Padding is exactly zero, and the state of a token never is.
    tokens = states.any(dim=1).nonzero()
    if len(tokens) == 0:
        raise ConfigError(f"negatives: the negative prompt {prompt!r} has no words")
    return states[: int(tokens.max()) + 1]


def _weights_digest(transformer: SoulTransformer3DModel) -> str:
    """A digest of the first values of every tensor of weights: training changes all tensors, and reading them whole
    would take long."""
    heads = [weight.detach().flatten()[:16].bfloat16() for _, weight in sorted(transformer.named_parameters())]
    return digest(torch.cat([head.cpu() for head in heads]).view(torch.int16).tolist())
