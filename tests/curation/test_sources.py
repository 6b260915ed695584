from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.config import ConfigError
from curation.schema import Pool
from curation.sources import list_sources


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mov", "deep/c.MKV", "notes.txt", ".hidden.mp4", "noextension"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(location: object, **options: str) -> list[str]:
    return [Path(source.uri).name for source in list_sources(str(location), **options)]  # type: ignore[arg-type]


def test_directory_is_searched_and_side_files_left_out(bucket: Path) -> None:
    assert names(bucket) == ["a.mov", "b.mp4", "c.MKV", "noextension"]


def test_glob_and_single_file(bucket: Path) -> None:
    assert names(f"{bucket}/*.m*") == ["a.mov", "b.mp4"]
    assert names(bucket / "b.mp4") == ["b.mp4"]


def test_file_uri(bucket: Path) -> None:
    assert names(f"file://{bucket}/b.mp4") == ["b.mp4"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_manifests_carry_metadata_and_pool(bucket: Path, kind: str) -> None:
    rows = [
        {"path": "b.mp4", "licence": "CC0", "pool": "general"},
        {"path": str(bucket / "a.mov"), "licence": "CC-BY", "pool": "human"},
    ]
    manifest = bucket / f"list.{kind}"
    if kind == "csv":
        lines = ["path,licence,pool", *(",".join(row.values()) for row in rows)]
        manifest.write_text("\n".join(lines))
    elif kind == "jsonl":
        manifest.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), manifest)
    first, second = list_sources(str(manifest))
    assert (first.uri, first.pool, first.metadata) == (str(bucket / "a.mov"), Pool.HUMAN, {"licence": "CC-BY"})
    assert (second.uri, second.pool, second.metadata) == (str(bucket / "b.mp4"), Pool.GENERAL, {"licence": "CC0"})


def test_each_video_once(bucket: Path) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text("video\nb.mp4\nb.mp4\n")
    assert names(manifest) == ["b.mp4"]


def test_named_column(bucket: Path) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text("where,path\nb.mp4,other\n")
    assert names(manifest, path_column="where") == ["b.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title\nhello\n", "no column path or uri"),
        ("path,pool\nb.mp4,animals\n", "row 1: 'animals'"),
        ("path,note\n,x\n", "row 1 has no path"),
        ("path\n", "no videos"),
    ],
)
def test_bad_manifests_are_one_clear_line(bucket: Path, content: str, message: str) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text(content)
    with pytest.raises(ConfigError, match=message):
        list_sources(str(manifest))


@pytest.mark.parametrize("location", ["nowhere", "nowhere.csv", "nowhere/*.mp4", "ftq://bucket/x"])
def test_nothing_there(tmp_path: Path, location: str) -> None:
    with pytest.raises(ConfigError):
        list_sources(location if "://" in location else str(tmp_path / location))


def test_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no videos"):
        list_sources(str(tmp_path))
