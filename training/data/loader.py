"""From planned batches to samples in memory: each rank reads its own, ahead of time, straight out of the tars.

Shards are plain WebDataset tars, and their index says where each sample lies, so a rank reads the bytes that it needs
and no others, from a disk or an object store. A shuffle buffer is not needed, ranks never read the same sample, and
going on after a stop costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.utils.data import DataLoader, Dataset

from curation.encoding.encoded import BadSampleError, EncodedDirectory, EncodedSample, Encoding
from training.data.batch_plan import BatchPlan, PlannedBatch
from training.data.index import Location, SampleIndex


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What is drawn, and how it is read."""

    run: str = ""
    """Run directory or URI (`s3://…`) whose `encoded/` is trained on; empty for the training's own run."""
    decisions: str = ""
    """Version of that run's index whose clips are trained on (`curation decide`, `curation encode --decisions`); empty
    for the clips that the run itself keeps."""
    pools: dict[str, float] = field(default_factory=lambda: {"human": 0.8, "general": 0.2})
    """Share of each pool in the draws: general videos without audio at 20 % (paper, Sec. 3.2). Add `negative` for
    clips made under the negative prompt; the paper does not say how many."""
    sources: tuple[str, ...] = ()
    """Globs of the sources that are trained on, say `*/one_person*`; empty for all."""
    held_out_fraction: float = 0.01
    """Share of the sources that is kept for validation."""
    workers: int = 4
    """Processes that read ahead, per rank; 0 reads in the training process."""
    prefetch: int = 2
    """Micro-batches that each of these processes keeps ready."""
    max_skipped: float = 0.01
    """Share of damaged samples, of those read so far, at which training stops rather than skips."""

    def __post_init__(self) -> None:
        """Refuse negative shares."""
        if min(self.pools.values(), default=0) < 0:
            raise ValueError("shares of pools must not be negative")
        if not 0 <= self.held_out_fraction < 1 or self.workers < 0 or self.prefetch < 1:
            raise ValueError("held_out_fraction lies in [0, 1), workers is at least 0, prefetch at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A rank's part of the work: which of the ranks that read different data it is, and how much it takes at once."""

    rank: int
    num_ranks: int
    micro_batch: int
    """Samples of a forward."""
    accumulation: int
    """Forwards of an optimizer step."""

    @property
    def batch_size(self) -> int:
        """Samples of a full effective batch, over all ranks."""
        return self.micro_batch * self.num_ranks * self.accumulation


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedSample:
    """A place in a micro-batch: a sample that was drawn, or zeros that fill the place."""

    sample: EncodedSample
    number: int
    """Number of the draw."""
    weight: float
    """Weight of the sample's loss: 0 for zeros that fill a place. All samples of an effective batch have the same
    weight: 1 if the batch is full, and more if it is smaller, so that every batch has the same total weight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """What a rank takes through the network at once."""

    planned: PlannedBatch = field(repr=False)
    """The effective batch that it is a part of."""
    index: int
    """Its number among the rank's micro-batches of the step."""
    samples: tuple[LoadedSample, ...] = field(repr=False)
    skipped: tuple[str, ...] = ()
    """Damaged samples, each with the reason; zeros fill their places."""


def read_sample(directory: EncodedDirectory, encoding: Encoding, location: Location) -> EncodedSample:
    """The sample that lies at a place.

    Raises:
        BadSampleError: it cannot be read, is not what was written, or does not have the shape of its bucket.
    """
    try:
        data = directory.read(location.tar, location.offset, location.size, location.sha256)
    except OSError as error:
        raise BadSampleError(f"cannot be read: {error}") from error
    sample = EncodedSample.from_bytes(data)
    if sample.key != location.key:
        raise BadSampleError(f"{location.tar} has {sample.key!r} where its index has {location.key!r}")
    _check(sample, location, encoding)
    return sample


def read_wav(directory: EncodedDirectory, location: Location) -> bytes | None:
    """The sound of a sample as a WAV file; None without sound.

    Raises:
        BadSampleError: it cannot be read, or is not what was written.
    """
    try:
        return None if location.wav is None else directory.read(location.tar, *location.wav)
    except OSError as error:
        raise BadSampleError(f"its sound cannot be read: {error}") from error


class SampleReader:
    """Reads samples by their row of the index."""

    def __init__(self, directory: EncodedDirectory, samples: SampleIndex) -> None:
        self.directory = directory
        self.samples = samples
        self.encoding = directory.encoding()

    def read(self, row: int) -> EncodedSample:
        """The sample of a row.

        Raises:
            BadSampleError: see `read_sample`.
        """
        return read_sample(self.directory, self.encoding, self.samples.location(row))

    def read_wav(self, row: int) -> bytes | None:
        """The sound of a row's clip as a WAV file; None without sound.

        Raises:
            BadSampleError: see `read_wav`.
        """
        return read_wav(self.directory, self.samples.location(row))

    def placeholder(self, row: int) -> EncodedSample:
        """Zeros of a row's shape, to fill a place in a batch for which there is no sample."""
        frames, height, width = self.samples.location(row).bucket.latent_shape
        channels = self.encoding.latent_channels
        return EncodedSample(
            key="", source="", pool="general", prompts=("",), fps=self.encoding.fps,
            latents=torch.zeros(channels, frames, height, width),
            reference_latents=torch.zeros(1, channels, height, width),
            text_states=(torch.zeros(1, self.encoding.text_dim),),
        )  # fmt: skip


class MicroBatches(Dataset[MicroBatch]):
    """Loads one rank's micro-batches; an item is asked for by effective batch and number of the micro-batch."""

    def __init__(self, reader: SampleReader, share: Share) -> None:
        self.reader = reader
        self.share = share

    def __getitem__(self, item: tuple[PlannedBatch, int]) -> MicroBatch:
        """Load a micro-batch; zeros of weight 0 fill the places of damaged samples and those beyond the last draw."""
        planned, index = item
        share = self.share
        # For every forward each rank takes the next micro-batch, in the order of ranks.
        first = (index * share.num_ranks + share.rank) * share.micro_batch
        samples: list[LoadedSample] = []
        skipped: list[str] = []
        for draw in planned.draws[first : first + share.micro_batch]:
            try:
                sample = self.reader.read(draw.row)
            except BadSampleError as error:
                skipped.append(f"{self.reader.samples.location(draw.row).key}: {error}")
                samples.append(self._filler(planned))
            else:
                weight = share.batch_size / len(planned.draws)
                samples.append(LoadedSample(sample=sample, number=draw.number, weight=weight))
        while len(samples) < share.micro_batch:
            samples.append(self._filler(planned))
        return MicroBatch(planned=planned, index=index, samples=tuple(samples), skipped=tuple(skipped))

    def _filler(self, planned: PlannedBatch) -> LoadedSample:
        first = planned.draws[0]
        return LoadedSample(sample=self.reader.placeholder(first.row), number=first.number, weight=0.0)


def load_steps(
    plan: BatchPlan, reader: SampleReader, share: Share, config: DataConfig, *, epoch: int = 0, batch: int = 0
) -> Iterator[list[MicroBatch]]:
    """One rank's micro-batches of each optimizer step, from batch `batch` of epoch `epoch` on, without end."""

    def items() -> Iterator[tuple[PlannedBatch, int]]:
        number = epoch
        while True:
            for planned in plan.epoch(number):
                if number > epoch or planned.index >= batch:
                    yield from ((planned, index) for index in range(share.accumulation))
            number += 1

    loader = DataLoader(
        MicroBatches(reader, share),
        batch_size=None,
        sampler=_Endless(items()),
        num_workers=config.workers,
        prefetch_factor=config.prefetch if config.workers else None,
        # Forked workers would inherit CUDA and Ray's threads.
        multiprocessing_context="forkserver" if config.workers else None,
        worker_init_fn=_one_thread,
    )
    step: list[MicroBatch] = []
    for micro_batch in loader:
        step.append(micro_batch)
        if len(step) == share.accumulation:
            yield step
            step = []


class _Endless(torch.utils.data.Sampler[tuple[PlannedBatch, int]]):
    def __init__(self, items: Iterator[tuple[PlannedBatch, int]]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[tuple[PlannedBatch, int]]:
        return self.items


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


def _check(sample: EncodedSample, location: Location, encoding: Encoding) -> None:
    frames, height, width = location.bucket.latent_shape
    channels = encoding.latent_channels
    if sample.latents.shape != (channels, frames, height, width):
        raise BadSampleError(
            f"latents are {tuple(sample.latents.shape)}, its bucket says {(channels, frames, height, width)}"
        )
    references = sample.reference_latents.shape
    if not len(references) == 4 or references[0] < 1 or references[1:] != (channels, height, width):
        raise BadSampleError(f"reference latents are {tuple(references)}")
    if any(states.ndim != 2 or states.shape[1] != encoding.text_dim for states in sample.text_states):
        raise BadSampleError(f"text states are not {encoding.text_dim} wide")
    if not sample.text_states:
        raise BadSampleError("it has no prompt")
    sound = sample.audio_features
    if sound is not None and (sound.ndim != 2 or sound.shape[1] != encoding.audio_dim):
        raise BadSampleError(f"audio features are {tuple(sound.shape)}")
    tensors = {
        "latents": (sample.latents,),
        "reference latents": (sample.reference_latents,),
        "text states": sample.text_states,
        "audio features": () if sound is None else (sound,),
    }
    for name, parts in tensors.items():
        # A sum is not finite if one of its summands is not, and it takes a tenth of the time of testing each.
        if not all(part.sum(dtype=torch.float32).isfinite() for part in parts):
            raise BadSampleError(f"its {name} hold NaN or infinity")
