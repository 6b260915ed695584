"""The conditions that a clip is trained under: pivot, overlap, text and audio, some of them dropped (paper, Sec. 3.2).

A clip is the pivot followed by its latent frames 1 …: the pivot takes the place of latent frame 0 and has no sound. It
is a random single frame of the same shot, as in the later clips of a long video, or the clip's own frame 0, as in the
first clip, whose pivot is the picture that the video starts from. With some probability the first frames after it are
clean too: the overlap that a later clip takes over from the one before.

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
    """How many clean overlapping latents it has then (paper, Sec. 3.2)."""
    first_frame_probability: float = 1.0
    """How often a clip without overlap has its own first frame as pivot, so that the network learns to start from the
    image, as the first clip of a video does; otherwise a random frame (the paper has only those). Nothing in a clip
    says which of the two its pivot is; what that does was measured by `bench.studies.lip_sync`."""
    drop_text: float = 0.05
    """How often only the text is dropped. The paper leaves dropout open."""
    drop_audio: float = 0.05
    """How often only the audio is dropped."""
    drop_both: float = 0.1
    """How often both are dropped: from these clips the network learns the unconditional branch of guidance."""

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        shares = (self.drop_text, self.drop_audio, self.drop_both)
        probabilities = (self.overlap_probability, self.first_frame_probability)
        if (
            min(shares) < 0
            or sum(shares) > 1
            or self.overlap_latents < 0
            or not all(0 <= p <= 1 for p in probabilities)
        ):
            raise ValueError("dropout shares must be at least 0 and sum to at most 1, probabilities lie in 0 … 1")

    def drops(self, uniform: float) -> tuple[bool, bool]:
        """Whether text and audio are dropped, decided by one number that was drawn uniformly from [0, 1).

        The shares lie in [0, 1) one after the other: both, text alone, audio alone, and the rest drops nothing.
        """
        both_end = self.drop_both
        text_end = self.drop_both + self.drop_text
        audio_end = self.drop_both + self.drop_text + self.drop_audio
        return uniform < text_end, uniform < both_end or text_end <= uniform < audio_end


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
    """(L, D): text states of the empty prompt, for the unconditional branch."""
    weights: Tensor
    """(B,): weight of each sample's loss, see `LoadedSample.weight`."""
    numbers: tuple[int, ...]
    """(B,): numbers of the draws."""
    seed: int
    """The training's seed."""

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


class Conditioner(Protocol):
    """Makes samples into batches; what is trained decides which class does it."""

    def __call__(self, samples: Sequence[LoadedSample]) -> Batch:
        """A micro-batch to train on."""
        ...

    def unvaried(self, sample: EncodedSample) -> Batch:
        """One sample under fixed conditions, for validation; its noise follows from its key alone."""
        ...


class LatentsConditioner:
    """Makes batches of the clips' latents alone, frame 0 included, for networks that are trained on nothing else.

    Args:
        seed: the training's.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def __call__(self, samples: Sequence[LoadedSample]) -> Batch:
        """See `Conditioner`."""
        return self._batch(
            _stacked([loaded.sample.latents.float() for loaded in samples]),
            weights=torch.tensor([loaded.weight for loaded in samples]),
            numbers=tuple(loaded.number for loaded in samples),
        )

    def unvaried(self, sample: EncodedSample) -> Batch:
        """See `Conditioner`."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Conditioned:
    """One clip of a batch, with its conditions."""

    latents: Tensor
    """(C, F, H, W)"""
    clean: Tensor
    """(F,) bool"""
    text: Tensor
    """(L, D)"""
    audio: Tensor
    """(F, T, A)"""


class ClipConditioner:
    """Makes batches of clips with their pivot, overlap, text and sound.

    Args:
        config: see `ConditioningConfig`.
        seed: the training's.
        audio_window: audio steps T that the network hears at each latent frame.
        audio_dim: features A of an audio step.
        text_tokens: the L to which text states are padded.
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
        """See `Conditioner`."""
        return self._batch(
            [self._drawn(loaded.sample, loaded.number) for loaded in samples],
            weights=torch.tensor([loaded.weight for loaded in samples]),
            numbers=tuple(loaded.number for loaded in samples),
        )

    def unvaried(self, sample: EncodedSample) -> Batch:
        """See `Conditioner`: its first caption, its sound and no overlap. It starts from its own first frame, as videos
        do, or from its first reference where pivots are nothing else."""
        pivot = sample.latents[:, 0] if self.config.first_frame_probability else sample.reference_latents[0]
        conditioned = _Conditioned(
            latents=_with_pivot(sample, pivot),
            clean=self._clean(sample, num_overlap=0),
            text=self._padded(sample.text_states[0]),
            audio=self._audio(sample),
        )
        return self._batch([conditioned], weights=torch.ones(1), numbers=(own_number(sample),))

    def _drawn(self, sample: EncodedSample, number: int) -> _Conditioned:
        """A sample under the conditions that follow from the number of its draw."""
        config, random_of_draw = self.config, random.Random(seed_of(self.seed, "conditioning", number))
        reference = random_of_draw.randrange(len(sample.reference_latents))
        has_overlap = random_of_draw.random() < config.overlap_probability
        text = self._padded(random_of_draw.choice(sample.text_states))
        audio = self._audio(sample)
        drops_text, drops_audio = config.drops(random_of_draw.random())
        starts_from_image = not has_overlap and random_of_draw.random() < config.first_frame_probability
        pivot = sample.latents[:, 0] if starts_from_image else sample.reference_latents[reference]
        return _Conditioned(
            latents=_with_pivot(sample, pivot),
            clean=self._clean(sample, num_overlap=config.overlap_latents if has_overlap else 0),
            text=self.free_text if drops_text else text,
            audio=torch.zeros_like(audio) if drops_audio else audio,
        )

    def _batch(self, conditioned: Sequence[_Conditioned], *, weights: Tensor, numbers: tuple[int, ...]) -> Batch:
        return Batch(
            latents=_stacked([each.latents for each in conditioned]),
            clean=_stacked([each.clean for each in conditioned]),
            text=_stacked([each.text for each in conditioned]),
            audio=_stacked([each.audio for each in conditioned]),
            free_text=self.free_text,
            weights=weights,
            numbers=numbers,
            seed=self.seed,
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
    """A number for a sample that is not drawn, in place of a draw's: it follows from the sample's key alone."""
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
    """Text states (L, D) fp32: cut to `num_tokens`, or with zeros after the prompt's end."""
    states = states.float()[:num_tokens]
    return functional.pad(states, (0, 0, 0, num_tokens - len(states)))


def _with_pivot(sample: EncodedSample, pivot: Tensor) -> Tensor:
    """(C, F, H, W) fp32: the clip with a pivot (C, H, W) in place of its latent frame 0."""
    return torch.cat([pivot[:, None], sample.latents[:, 1:]], dim=1).float()


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """(B, …) of B tensors. A single one, which is the usual micro-batch at full size, is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tuple(tensors))
