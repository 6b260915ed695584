"""Reading samples: what cannot be trained on is told apart from what can."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import BadSampleError, EncodedClip, EncodedDirectory, EncodedSample, EncodedShardWriter
from tests.worlds.encoded_run import (
    SIDE,
    SampleSpec,
    make_encoded_run,
    make_encoding,
    make_sample,
    make_unconditional,
)
from training.data.batch_plan import Draw, PlannedBatch
from training.data.index import read_index
from training.data.loader import MicroBatch, MicroBatches, SampleReader, Share


def reader_of(folder: Path, sample: EncodedSample) -> SampleReader:
    directory = EncodedDirectory(str(folder))
    directory.describe(make_encoding(), make_unconditional())
    directory.open_session("by-hand")
    vectors = np.zeros((0, 48), np.float16)
    clip = EncodedClip(sample=sample, height=4 * SIDE, width=4 * SIDE, codebook_vectors=vectors)
    EncodedShardWriter(directory, "by-hand").write("shard", [clip])
    return SampleReader(directory, read_index(directory, held_out_fraction=0))


def spoilt(tensor: Tensor) -> Tensor:
    spoilt = tensor.clone()
    spoilt.flatten()[-1] = torch.nan
    return spoilt


def with_spoilt_sound(sample: EncodedSample) -> EncodedSample:
    assert sample.audio_features is not None
    return replace(sample, audio_features=spoilt(sample.audio_features))


SPOILT: dict[str, Callable[[EncodedSample], EncodedSample]] = {
    "its latents hold NaN": lambda sample: replace(sample, latents=spoilt(sample.latents)),
    "its reference latents hold NaN": lambda sample: replace(
        sample, reference_latents=spoilt(sample.reference_latents)
    ),
    "its text states hold NaN": lambda sample: replace(
        sample, text_states=(sample.text_states[0], spoilt(sample.text_states[1]))
    ),
    "its audio features hold NaN": with_spoilt_sound,
    "its bucket says": lambda sample: replace(sample, latents=sample.latents[:, :, :, :2]),
    "reference latents are": lambda sample: replace(sample, reference_latents=sample.reference_latents[:0]),
    "text states are not 64 wide": lambda sample: replace(sample, text_states=(torch.zeros(3, 32),) * 2),
    "audio features are": lambda sample: replace(sample, audio_features=torch.zeros(40, 7)),
}


def test_a_whole_sample_is_read(tmp_path: Path) -> None:
    sample = make_sample(SampleSpec(), "whole")
    assert torch.equal(reader_of(tmp_path, sample).read(0).latents, sample.latents.half())


@pytest.mark.parametrize("reason", SPOILT)
def test_what_would_spoil_a_batch_is_damage(tmp_path: Path, reason: str) -> None:
    reader = reader_of(tmp_path, SPOILT[reason](make_sample(SampleSpec(), "spoilt")))
    with pytest.raises(BadSampleError, match=reason):
        reader.read(0)


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> SampleReader:
    """Eight samples, of which that of row 2 is damaged."""
    directory = make_encoded_run(tmp_path_factory.mktemp("eight"), shards=((SampleSpec(),) * 8,))
    row = directory.index().to_pylist()[2]
    with (Path(directory.path) / row["tar"]).open("r+b") as tar:
        tar.seek(row["offset"] + 3000)
        tar.write(np.random.default_rng(0).bytes(4096))
    return SampleReader(directory, read_index(directory, held_out_fraction=0))


def planned(*rows: int) -> PlannedBatch:
    """A batch of these rows, whose draws have the numbers 100, 101, …"""
    draws = tuple(Draw(row=row, number=100 + place) for place, row in enumerate(rows))
    return PlannedBatch(epoch=0, index=0, bucket=Bucket(17, 64, 64), draws=draws)


def load(reader: SampleReader, batch: PlannedBatch, *, rank: int, index: int) -> MicroBatch:
    share = Share(rank=rank, num_ranks=2, micro_batch=2, accumulation=2)
    assert share.batch_size == 8
    return MicroBatches(reader, share)[batch, index]


def test_ranks_take_micro_batches_in_turn(eight: SampleReader) -> None:
    batch = planned(7, 6, 5, 4, 3, 1, 0, 1)
    for (rank, index), rows in {(0, 0): (7, 6), (1, 0): (5, 4), (0, 1): (3, 1), (1, 1): (0, 1)}.items():
        loaded = load(eight, batch, rank=rank, index=index)
        assert (loaded.planned, loaded.index, loaded.skipped) == (batch, index, ())
        assert [each.sample.key for each in loaded.samples] == [eight.samples.location(row).key for row in rows]
        first = 100 + 4 * index + 2 * rank
        assert [each.number for each in loaded.samples] == [first, first + 1]
        assert [each.weight for each in loaded.samples] == [1.0, 1.0]


def test_a_small_batch_weighs_as_much_as_a_full_one_and_zeros_fill_its_places(eight: SampleReader) -> None:
    batch = planned(7, 6, 5)
    weights, numbers = {}, {}
    for rank, index in ((0, 0), (1, 0), (0, 1), (1, 1)):
        loaded = load(eight, batch, rank=rank, index=index)
        weights[rank, index] = [each.weight for each in loaded.samples]
        numbers[rank, index] = [each.number for each in loaded.samples]
        assert not loaded.skipped
        for each in loaded.samples:
            assert each.sample.latents.shape == (48, 5, 4, 4)
            assert each.sample.latents.any() == bool(each.weight)
    assert weights == {(0, 0): [8 / 3] * 2, (1, 0): [8 / 3, 0.0], (0, 1): [0.0] * 2, (1, 1): [0.0] * 2}
    assert numbers == {(0, 0): [100, 101], (1, 0): [102, 100], (0, 1): [100] * 2, (1, 1): [100] * 2}


def test_zeros_fill_the_place_of_a_damaged_sample_and_the_others_keep_their_weight(eight: SampleReader) -> None:
    loaded = load(eight, planned(7, 6, 2, 4, 3, 1, 0, 5), rank=1, index=0)
    damaged, whole = loaded.samples
    assert (damaged.weight, damaged.number, bool(damaged.sample.latents.any())) == (0.0, 100, False)
    assert (whole.weight, whole.number, whole.sample.key) == (1.0, 103, eight.samples.location(4).key)
    (line,) = loaded.skipped
    assert line.startswith(f"{eight.samples.location(2).key}: damaged: its")
