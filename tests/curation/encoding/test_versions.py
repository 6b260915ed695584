"""Encoding and training on a version of a run see exactly the clips that the version keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from curation.__main__ import main
from curation.clip.schema import Source
from curation.encoding.encoded import EncodedDirectory, encoded_path
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import SCHEMA, Version, VersionInfo
from infra.config import ConfigError
from tests.worlds.curated_shards import Made, click, curate, flat, source_of, video
from training.data.index import read_index
from training.recipes.recipe import load_recipe
from training.stage import _encoded

SET = ["--set", "stages.720p.area=9216", "--set", "clip_frames=33", "--set", "min_frames=17"]


def made(level: int) -> Made:
    return Made(mp4=video(flat(level), 40), num_frames=40, wav=click(0.1, 1.6))


def write_strict(run: str, rejected: set[str], to_compute: set[str]) -> Version:
    """A version that rejects some clips that the run keeps, and has others to be computed."""
    table = RunDirectory(run).index(SCHEMA.names)
    states = [
        "rejected" if key in rejected or not kept else "to_compute" if key in to_compute else "kept"
        for key, kept in zip(table["key"].to_pylist(), table["kept"].to_pylist(), strict=True)
    ]
    kept = [state == "kept" for state in states]
    rows = {name: table[name] if name in table.column_names else pa.nulls(len(states)) for name in SCHEMA.names}
    rows |= {"state": states, "kept": kept, "is_heard": [False] * len(states)}
    version = Version(run, "strict")
    info = VersionInfo(config_hash="abc", settings={}, changes={}, written="now", counts={})
    version.write(pa.table(rows), info)
    return Version(run, "strict")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four clips kept by the run; the version rejects one, has computed one anew, and waits for another."""
    run = str(tmp_path_factory.mktemp("run"))
    first, second = source_of("a.mp4", [made(40), made(60)]), source_of("b.mp4", [made(80), made(100)])
    curate(run, first, second)
    version = write_strict(run, {first.clips[0].key}, {second.clips[0].key, second.clips[1].key})
    anew = replace(second, clips=second.clips[1:], wanted=frozenset({second.clips[1].key, "lost"}))
    curate(version.run, anew)
    return run


def keys(directory: EncodedDirectory) -> list[str]:
    return [str(key) for key in read_index(directory, held_out_fraction=0.0).table["key"].to_pylist()]


def clip_key(uri: str, index: int) -> str:
    return Source(uri=uri).clip_key(index)


def test_training_on_a_version_reads_that_version_s_clips(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["encode", "--run", run, "--stage", "720p", "--engine", "inline", *SET]
    assert main([*words, "--decisions", "strict"]) == 0
    assert main(words) == 0
    told = capsys.readouterr().out
    strict = [clip_key("a.mp4", 1), clip_key("b.mp4", 1)]
    assert keys(EncodedDirectory(encoded_path(run, "720p", "strict"))) == sorted(strict)
    everything = [clip_key(uri, index) for uri in ("a.mp4", "b.mp4") for index in range(2)]
    assert keys(EncodedDirectory(encoded_path(run, "720p"))) == sorted(everything)
    assert "3 curated shards: 3 to encode with 2 clips" in told
    for overrides, expected in ([], everything), (["data.decisions=strict"], strict):
        recipe = load_recipe("720p", "local", overrides)
        assert keys(_encoded(recipe, Path(run))) == sorted(expected)


def test_what_a_version_lacks_is_told(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(tmp_path / "other")
    source = source_of("a.mp4", [made(40), made(60)])
    curate(other, source)
    write_strict(other, set(), {source.clips[0].key})
    curate(other, source_of("c.mp4", [made(50)]))
    assert main(["encode", "--run", other, "--stage", "720p", "--engine", "inline", "--decisions", "strict", *SET]) == 0
    told = capsys.readouterr().out
    assert "1 sources have clips that are still to be computed for strict" in told
    assert "1 shards are newer than strict, and not in it" in told


def test_no_such_version_is_one_line(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--run", run, "--stage", "720p", "--decisions", "stric"]) == 2
    assert "has no decisions 'stric'; there are strict" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="cannot be a version's name"):
        Version(run, "../away")
