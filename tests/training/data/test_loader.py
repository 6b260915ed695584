"""Reading samples: what cannot be trained on is told apart from what can."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from curation.encoding.encoded import BadSampleError, EncodedClip, EncodedDirectory, EncodedSample, EncodedShardWriter
from tests.worlds.encoded_run import SIDE, SampleSpec, make_encoding, make_sample, make_unconditional
from training.data.index import read_index
from training.data.loader import SampleReader


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
