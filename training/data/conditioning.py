"""What a clip is trained to be made from: pivot, overlap, text, audio, and what of them is dropped (paper, Sec. 3.2).

A clip is the pivot followed by its latent frames 1 …: the pivot, a random single frame of the same shot, takes the
place of latent frame 0. It has no sound. With some probability the first frames behind it are clean too: the overlap
that a later clip of a long video takes over from the one before.

Letters: B batch, C latent channels, F latent frames, H and W latent sides, L text tokens, D width of text states,
T audio steps of a latent frame, A audio features.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from curation.encoding.encoded import EncodedSample
from model.codecs.audio import align_audio
from training.data.loader import LoadedSample
from training.data.randomness import DrawRandom, seed_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditioningConfig:
    """How a clip's conditions are drawn."""

    overlap_probability: float = 0.5
    """How often a clip has clean overlapping latents (paper, Sec. 3.2)."""
    overlap_latents: int = 2
    """How many (paper, Sec. 3.2)."""
    drop_text: float = 0.05
    """How often only the text is dropped. The paper leaves dropout open."""
    drop_audio: float = 0.05
    """How often only the audio is dropped."""
    drop_both: float = 0.1
    """How often both are: what the unconditional branch of guidance is told when videos are made."""

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        shares = (self.drop_text, self.drop_audio, self.drop_both)
        if min(shares) < 0 or sum(shares) > 1 or not 0 <= self.overlap_probability <= 1 or self.overlap_latents < 0:
            raise ValueError("dropout shares must be at least 0 and sum to at most 1, probabilities lie in 0 … 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A micro-batch as objectives see it, all fp32."""

    latents: Tensor
    """(B, C, F, H, W): the pivot, then the clip's latent frames 1 …"""
    clean: Tensor
    """(B, F) bool: frames that are given (pivot, overlap): never noised, never in a loss."""
    text: Tensor
    """(B, L, D), zero-padded."""
    audio: Tensor
    """(B, F, T, A), zeros where there is no sound."""
    free_text: Tensor
    """(L, D): the empty prompt's, for the unconditional branch."""
    weights: Tensor
    """(B,): of each sample's loss; 0 for what only fills up a batch."""
    numbers: tuple[int, ...]
    """(B,): numbers of the draws."""
    seed: int
    """The training's."""

    def random(self, purpose: str) -> DrawRandom:
        """Random numbers of these draws for one purpose, on the batch's device."""
        return DrawRandom(self.seed, self.numbers, purpose, self.latents.device)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        names = ("latents", "clean", "text", "audio", "free_text", "weights")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def unconditional(self) -> Self:
        """The same batch without text and audio."""
        text = self.free_text.expand(len(self.text), *self.free_text.shape)
        return replace(self, text=text, audio=torch.zeros_like(self.audio))

    def frame_mask(self) -> Tensor:
        """(B, 1, F, 1, 1) fp32: 1 for frames to be predicted, 0 for clean ones."""
        return (~self.clean).float()[:, None, :, None, None]


class Conditions(Protocol):
    """What makes samples into batches; which one depends on what is trained."""

    def __call__(self, samples: Sequence[LoadedSample]) -> Batch:
        """A micro-batch to train on."""
        ...

    def unvaried(self, sample: EncodedSample) -> Batch:
        """One sample as it is, for validation; its noise follows from its key, and is its own."""
        ...


class OwnLatents:
    """Makes batches for what is trained on latents alone: each clip's own, its frame 0 included, and nothing else.

    Args:
        seed: the training's.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def __call__(self, samples: Sequence[LoadedSample]) -> Batch:
        """See `Conditions`."""
        return self._batch(
            _stacked([loaded.sample.latents.float() for loaded in samples]),
            weights=torch.tensor([loaded.weight for loaded in samples]),
            numbers=tuple(loaded.number for loaded in samples),
        )

    def unvaried(self, sample: EncodedSample) -> Batch:
        """See `Conditions`."""
        return self._batch(sample.latents.float()[None], weights=torch.ones(1), numbers=(own_number(sample),))

    def _batch(self, latents: Tensor, *, weights: Tensor, numbers: tuple[int, ...]) -> Batch:
        num_samples, _, num_frames, _, _ = latents.shape
        return Batch(
            latents=latents,
            clean=torch.zeros(num_samples, num_frames, dtype=torch.bool),
            text=torch.zeros(num_samples, 0, 0),
            audio=torch.zeros(num_samples, num_frames, 0, 0),
            free_text=torch.zeros(0, 0),
            weights=weights,
            numbers=numbers,
            seed=self.seed,
        )


class Conditioner:
    """Makes batches of loaded samples.

    Args:
        config: see `ConditioningConfig`.
        seed: the training's.
        audio_window: audio steps T that the network hears at each latent frame.
        audio_dim: features A of an audio step.
        text_tokens: L that text states are padded to.
        free_text: (L_0, D) states of the empty prompt.
    """

    def __init__(
        self,
        config: ConditioningConfig,
        *,
        seed: int,
        audio_window: int,
        audio_dim: int,
        text_tokens: int,
        free_text: Tensor,
    ) -> None:
        self.config = config
        self.seed = seed
        self.audio_window = audio_window
        self.audio_dim = audio_dim
        self.text_tokens = text_tokens
        self.free_text = self._padded(free_text)

    def __call__(self, samples: Sequence[LoadedSample]) -> Batch:
        """Condition a micro-batch."""
        parts = [self._condition(loaded.sample, loaded.number) for loaded in samples]
        latents, clean, text, audio = (_stacked(tensors) for tensors in zip(*parts, strict=True))
        return Batch(
            latents=latents,
            clean=clean,
            text=text,
            audio=audio,
            free_text=self.free_text,
            weights=torch.tensor([loaded.weight for loaded in samples]),
            numbers=tuple(loaded.number for loaded in samples),
            seed=self.seed,
        )

    def unvaried(self, sample: EncodedSample, *, reference: int = 0) -> Batch:
        """One sample as it is: its first caption, its sound, no overlap (for validation)."""
        return Batch(
            latents=_with_pivot(sample, reference)[None],
            clean=self._clean(sample, num_overlap=0)[None],
            text=self._padded(sample.text_states[0])[None],
            audio=self._audio(sample)[None],
            free_text=self.free_text,
            weights=torch.ones(1),
            numbers=(own_number(sample),),
            seed=self.seed,
        )

    def _condition(self, sample: EncodedSample, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        config, choose = self.config, random.Random(seed_of(self.seed, "conditioning", number))
        reference = choose.randrange(len(sample.reference_latents))
        has_overlap = choose.random() < config.overlap_probability
        text = self._padded(choose.choice(sample.text_states))
        dropped = choose.random()
        drop_both = dropped < config.drop_both
        drop_text = drop_both or dropped < config.drop_both + config.drop_text
        drop_audio = drop_both or (not drop_text and dropped < config.drop_both + config.drop_text + config.drop_audio)
        audio = self._audio(sample)
        return (
            _with_pivot(sample, reference),
            self._clean(sample, num_overlap=config.overlap_latents if has_overlap else 0),
            self.free_text if drop_text else text,
            torch.zeros_like(audio) if drop_audio else audio,
        )

    def _clean(self, sample: EncodedSample, *, num_overlap: int) -> Tensor:
        """(F,) bool; at least one frame is left to be predicted."""
        num_frames = sample.latents.shape[1]
        return torch.arange(num_frames) < min(1 + num_overlap, num_frames - 1)

    def _audio(self, sample: EncodedSample) -> Tensor:
        return audio_windows(sample, window=self.audio_window, audio_dim=self.audio_dim)

    def _padded(self, states: Tensor) -> Tensor:
        return padded(states, self.text_tokens)


def own_number(sample: EncodedSample) -> int:
    """What stands for a draw's number where a sample is not drawn: the same whatever else there is."""
    return seed_of(0, "held-out", sample.key)


def audio_windows(sample: EncodedSample, *, window: int, audio_dim: int) -> Tensor:
    """(F, T, A): what each latent frame of a clip hears; the pivot has no sound in any clip."""
    num_frames = sample.latents.shape[1]
    audio = torch.zeros(num_frames, window, audio_dim)
    if sample.audio_features is not None:
        audio[1:] = align_audio(
            sample.audio_features.float(),
            range(1, num_frames),
            window=window,
            fps=sample.fps,
            first_step=sample.audio_first_step,
        )
    return audio


def padded(states: Tensor, num_tokens: int) -> Tensor:
    """Text states (L, D) fp32: cut to `num_tokens`, or zeros behind the prompt's end."""
    states = states.float()[:num_tokens]
    return functional.pad(states, (0, 0, 0, num_tokens - len(states)))


def _with_pivot(sample: EncodedSample, reference: int) -> Tensor:
    """(C, F, H, W) fp32: the clip with a reference in place of its latent frame 0."""
    pivot = sample.reference_latents[reference, :, None]
    return torch.cat([pivot, sample.latents[:, 1:]], dim=1).float()


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """(B, …) of B tensors; one alone, which is the usual micro-batch at full size, is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tuple(tensors))
