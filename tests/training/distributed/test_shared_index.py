"""An index that is read once a node: what is mapped is what was read, and pickling it copies nothing."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from curation.encoding.encoded import EncodedDirectory
from infra.config import ConfigError
from tests.worlds.encoded_run import DEFAULT_SHARDS, make_encoded_run
from training.data.index import SampleIndex, read_index
from training.distributed.shared_index import kept_index

MORE = (*DEFAULT_SHARDS, DEFAULT_SHARDS[0])


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EncodedDirectory:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return make_encoded_run(tmp_path / "run")


def same(one: SampleIndex, other: SampleIndex) -> bool:
    return (
        one.table.equals(other.table)
        and one.fingerprint == other.fingerprint
        and one.pools.keys() == other.pools.keys()
        and all(np.array_equal(rows, other.pools[pool]) for pool, rows in one.pools.items())
        and np.array_equal(one.held_out, other.held_out)
    )


def test_what_is_mapped_is_what_was_read(directory: EncodedDirectory) -> None:
    read = read_index(directory, held_out_fraction=0.3)
    mapped = SampleIndex.mapped(kept_index(directory, held_out_fraction=0.3))
    assert same(read, mapped)
    assert len(read.held_out)
    assert [read.location(row) for row in range(len(read))] == [mapped.location(row) for row in range(len(read))]


def test_another_process_gets_the_name_of_the_file_and_not_the_table(directory: EncodedDirectory) -> None:
    mapped = SampleIndex.mapped(kept_index(directory, held_out_fraction=0.3))
    data = pickle.dumps(mapped)
    assert len(data) < 500
    assert same(pickle.loads(data), mapped)
    unmapped = read_index(directory, held_out_fraction=0.3)
    assert same(pickle.loads(pickle.dumps(unmapped)), unmapped)


def test_an_index_is_read_once_until_more_is_encoded_or_something_else_is_asked_for(
    directory: EncodedDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept_index(directory, held_out_fraction=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(EncodedDirectory, "index", lambda *_: pytest.fail("it was read again"))
        assert kept_index(directory, held_out_fraction=0.3) == first
    assert kept_index(directory, held_out_fraction=0.0) != first
    assert kept_index(directory, held_out_fraction=0.3, of_sources=["*0*"]) != first
    make_encoded_run(tmp_path / "run", shards=MORE)
    assert kept_index(directory, held_out_fraction=0.3) != first


def test_what_is_encoded_anew_at_the_same_place_is_read_anew(directory: EncodedDirectory, tmp_path: Path) -> None:
    first = kept_index(directory, held_out_fraction=0.3)
    shutil.rmtree(tmp_path / "run")
    make_encoded_run(tmp_path / "run", seed=1)
    second = kept_index(directory, held_out_fraction=0.3)
    assert second != first
    assert same(SampleIndex.mapped(second), read_index(directory, held_out_fraction=0.3))


def test_old_files_are_deleted_when_another_is_written_and_no_part_is_left(directory: EncodedDirectory) -> None:
    old = kept_index(directory, held_out_fraction=0.0)
    os.utime(old, (0, 0))
    new = kept_index(directory, held_out_fraction=0.3)
    assert list(new.parent.iterdir()) == [new]


def test_mistakes_are_those_of_reading(directory: EncodedDirectory) -> None:
    with pytest.raises(ConfigError, match=r"holds no sample of \*/nobody"):
        kept_index(directory, held_out_fraction=0.0, of_sources=["*/nobody"])
