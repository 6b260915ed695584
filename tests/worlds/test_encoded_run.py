"""The made shards that other tests use hold what they should, and can be read by the contract of encoded shards."""

from collections import Counter
from pathlib import Path

import torch

from curation.encoding.encoded import EncodedSample
from tests.worlds.encoded_run import SampleSpec, make_encoded_run, make_sample


def test_the_made_run_is_read_back_by_its_index(tmp_path: Path) -> None:
    directory = make_encoded_run(tmp_path)
    rows = directory.index().to_pylist()
    encoded = [row for row in rows if row["encoded"]]
    assert Counter(row["pool"] for row in encoded) == {"human": 9, "general": 5, "negative": 2}
    assert Counter(row["shard"] for row in encoded) == {"shard-000": 8, "shard-001": 2, "shard-003": 6}
    assert {row["bucket"] for row in encoded} == {"17x64x64", "17x64x96"}
    assert len(rows) - len(encoded) == 2
    for row in encoded:
        sample = EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"]))
        assert (sample.key, sample.pool, sample.num_frames) == (row["key"], row["pool"], 17)
        assert (sample.audio_features is not None) == row["has_audio"] == (row["wav_offset"] is not None)


def test_samples_do_not_depend_on_their_shard(tmp_path: Path) -> None:
    spec = SampleSpec()
    directory = make_encoded_run(tmp_path, shards=[[spec], [spec, spec]], seed=3)
    row = directory.index().to_pylist()[-1]
    sample = EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"]))
    expected = make_sample(spec, "shard-001-clip-001", seed=3)
    torch.testing.assert_close(sample.latents, expected.latents.half())
    assert not torch.equal(make_sample(spec, "shard-001-clip-001", seed=4).latents, expected.latents)
