"""Damaged samples: found wherever they are read, skipped and written down, and no result where little was learnt."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.encoding.encoded import BadSampleError, EncodedDirectory
from infra.config import ConfigError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import metrics, small_options, train
from training.__main__ import main
from training.data.damage import Damage, DamagedError
from training.data.index import read_index
from training.data.loader import SampleReader

DAMAGE = Damage(path=Path("skipped.txt"), limit=0.01)
EVERYTHING = {"data.held_out_fraction": 0, "data.pools": "{human: 1}"}


def spoil(directory: EncodedDirectory, rows: Sequence[int], *, column: str = "offset") -> None:
    """Overwrite 4 KiB within the sample or the sound of some rows with noise, behind whatever header it has."""
    index = directory.index().to_pylist()
    for row in rows:
        with (Path(directory.path) / index[row]["tar"]).open("r+b") as tar:
            tar.seek(index[row][column] + 3000)
            tar.write(np.random.default_rng(row).bytes(4096))


@pytest.mark.parametrize(
    ("skipped", "seen", "stops"),
    [(0, 1, False), (2, 2, False), (3, 3, True), (3, 300, False), (4, 300, True), (100, 10_000, False)],
)
def test_a_few_at_the_beginning_are_no_rate(skipped: int, seen: int, *, stops: bool) -> None:
    if not stops:
        DAMAGE.check(skipped, seen)
        return
    with pytest.raises(DamagedError, match=rf"^{skipped} of the first {seen} samples are damaged or cannot be read"):
        DAMAGE.check(skipped, seen)


@pytest.mark.parametrize(
    ("skipped", "seen", "message"),
    [
        (0, 0, None),
        (0, 1, None),
        (1, 1, "nothing was learnt: all 1 samples"),
        (2, 2, "nothing was learnt: all 2 samples"),
        (2, 3, "too little was learnt: 2 of 3"),
        (2, 4, None),
    ],
)
def test_a_short_training_ends_before_its_damage_is_a_rate(skipped: int, seen: int, message: str | None) -> None:
    if message is None:
        DAMAGE.check_result(skipped, seen)
        return
    with pytest.raises(DamagedError, match=message):
        DAMAGE.check_result(skipped, seen)


@pytest.mark.parametrize(("steps", "batch_size"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_nothing_is_made_of_damaged_samples_alone(
    tmp_path: Path, steps: int, batch_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4,))
    spoil(directory, range(4))
    options = small_options(
        tmp_path, steps=steps, batch_size=batch_size, micro_batch=1, **EVERYTHING, **{"checkpoint.every": 1}
    )
    for _ in range(2):  # what a first attempt leaves behind gives no result to a second
        assert main(options) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        few = steps * batch_size <= 2
        assert ("nothing was learnt" if few else "4 of the first 4 samples are damaged") in line
        assert not (tmp_path / "model").exists()
        assert not (tmp_path / "train/720p/model").exists()
    recorded = (tmp_path / "train/720p/skipped.txt").read_text()
    assert "damaged: its" in recorded


def test_what_is_damaged_goes_into_no_step(tmp_path: Path) -> None:
    spoil(make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4,)), [1])
    train(tmp_path, steps=4, batch_size=1, micro_batch=1, data__held_out_fraction=0, data__pools="{human: 1}")
    (recorded,) = (tmp_path / "train/720p/skipped.txt").read_text().splitlines()
    step = int(recorded.split()[1].rstrip(":"))
    assert "shard-000-clip-001: damaged: its" in recorded
    lines = metrics(tmp_path)
    assert [line["step"] for line in lines if "loss" not in line] == [step]
    assert [line["grad_norm"] for line in lines if not line["grad_norm"]] == [0.0]


def test_held_out_samples_that_are_damaged_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 6,))
    spoil(directory, range(6), column="wav_offset")
    train(tmp_path, steps=1, batch_size=2, validation__every=1, validation__videos=1, data__held_out_fraction=0.4)
    said = capfd.readouterr().err
    assert "2 of 2 held-out samples are damaged and left out of the validation, the first shard-000-clip-" in said
    assert "damaged: its" in said
    assert not (tmp_path / "train/720p/skipped.txt").exists(), "their sound is not trained on"


def rewrite_index(directory: EncodedDirectory, change: dict[str, object] | None) -> None:
    """Change the index of the first shard: drop the hashes (None), or set columns of its first row."""
    path = Path(directory.path) / "shard-000.parquet"
    rows = pq.read_table(path).to_pylist()
    if change is None:
        rows = [{name: row[name] for name in row if not name.endswith("sha256")} for row in rows]
    else:
        rows[0] |= change
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_samples_from_before_they_had_a_hash_are_trained_on_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4, (SampleSpec(),) * 2))
    rewrite_index(directory, None)
    assert main(small_options(tmp_path, steps=1, **EVERYTHING)) == 0
    said = capsys.readouterr().out
    assert "6 samples: human 6; held out 0. 4 were encoded before samples carried a hash: damage in them can" in said


@pytest.mark.parametrize(
    "change",
    [
        *({"offset": None}, {"offset": -5}, {"size": None}, {"size": -5}),
        *({"key": None}, {"source": None}, {"pool": None}, {"tar": None}),
    ],
    ids=str,
)
def test_a_row_of_the_index_that_is_not_whole_is_a_damaged_sample(tmp_path: Path, change: dict[str, object]) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 2, (SampleSpec(),) * 2))
    rewrite_index(directory, change)
    train(tmp_path, steps=1, batch_size=4, data__held_out_fraction=0, data__pools="{human: 1}")
    (recorded,) = (tmp_path / "train/720p/skipped.txt").read_text().splitlines()
    name = "no key" if "key" in change else "shard-000-clip-000"
    assert recorded.startswith(f"step 1: {name}: damaged: its row of the index says ")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"bucket": "foo"}, "its indices name the bucket foo"),
        ({"bucket": None}, "its indices name the bucket None"),
        ({"offset": "512"}, "do not go together"),
    ],
)
def test_an_index_of_no_use_is_one_line(tmp_path: Path, change: dict[str, object], line: str) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 1, (SampleSpec(),) * 2))
    rewrite_index(directory, change)
    with pytest.raises(ConfigError, match=line):
        read_index(directory, held_out_fraction=0)


@pytest.mark.parametrize("size", [None, -5])
def test_a_sound_that_lies_nowhere_is_damage(tmp_path: Path, size: int | None) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 1,))
    rewrite_index(directory, {"wav_size": size})
    with pytest.raises(BadSampleError, match="damaged: its row of the index says"):
        SampleReader(directory, read_index(directory, held_out_fraction=0)).read_wav(0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"offset": 10**9}, "cannot be read: .* is shorter than its index says"),
        ({"size": 10**9}, "cannot be read: .* is shorter than its index says"),
        ({"tar": "17x64x64/shard-001.tar"}, "damaged: its"),
        ({"sha256": None, "tar": "17x64x64/shard-001.tar"}, "has 'shard-001-clip-000' where its index has"),
    ],
)
def test_an_index_that_points_elsewhere_is_a_damaged_sample(
    tmp_path: Path, change: dict[str, object], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 2, (SampleSpec(),) * 2))
    rewrite_index(directory, change)
    train(tmp_path, steps=1, batch_size=4, data__held_out_fraction=0, data__pools="{human: 1}")
    (recorded,) = (tmp_path / "train/720p/skipped.txt").read_text().splitlines()
    assert recorded.startswith("step 1: shard-000-clip-000: ")
    assert re.search(reason, recorded)


def test_a_tar_that_breaks_off_is_damaged_samples(tmp_path: Path) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 8,))
    rows = directory.index().to_pylist()
    with (Path(directory.path) / rows[0]["tar"]).open("r+b") as tar:
        tar.truncate(rows[6]["offset"] + 10)
    train(tmp_path, steps=2, batch_size=4, data__held_out_fraction=0, data__pools="{human: 1}")
    recorded = (tmp_path / "train/720p/skipped.txt").read_text()
    assert sorted(line.split(": ")[1] for line in recorded.splitlines()) == [rows[6]["key"], rows[7]["key"]]
