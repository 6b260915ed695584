"""What a network cannot share out is refused before it is trained."""

import dataclasses
from pathlib import Path

import pytest

from infra.config import ConfigError
from model.pretrained.presets import build_transformer, get_preset
from tests.worlds.encoded_run import WIDE, SampleSpec, make_encoded_run, make_encoding
from training.data.index import read_index
from training.parts.fit import check_fit, check_shared


def test_ranks_that_do_not_divide_heads_or_tokens_are_refused(tmp_path: Path) -> None:
    transformer = build_transformer(get_preset("tiny").transformer)
    assert transformer.config.num_attention_heads % 4 == 0
    samples = read_index(make_encoded_run(tmp_path, shards=((SampleSpec(),) * 2 + (WIDE,),)), held_out_fraction=0)
    for num_ranks in (1, 2):
        check_shared(transformer, samples, num_ranks)
    with pytest.raises(ConfigError, match="5 ranks cannot share the 4 attention heads of the network"):
        check_shared(transformer, samples, 5)
    with pytest.raises(ConfigError, match="4 ranks cannot share the 6 tokens of a latent frame of 17x64x96"):
        check_shared(transformer, samples, 4)


def test_samples_that_sound_otherwise_than_generation_are_refused() -> None:
    transformer = build_transformer(get_preset("tiny").transformer)
    encoding = make_encoding()
    check_fit(transformer, encoding, "RUN/encoded/720p")
    before = dataclasses.replace(encoding, audio_context_steps=0)
    with pytest.raises(ConfigError, match=r"^RUN/encoded/720p was encoded by an older version, .*: move it away and"):
        check_fit(transformer, before, "RUN/encoded/720p")
    assert encoding.differences(before) == ["audio context steps 12, now 0"]
