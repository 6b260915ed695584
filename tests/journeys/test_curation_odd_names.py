"""Names and manifests as people have them, through a whole run: everything is recorded, nothing ends it."""

from __future__ import annotations

import datetime
import json
import os
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from tests.worlds.videos import write_video

SMALL = (320, 240)
MARKUP = "<img src=x onerror=alert(1)>\"'&lt; {{ 7 * 7 }} [red]Title [id] a::b 50% #1?.mp4"


def curate(location: Path | str, run: Path, *more: str) -> dict[str, dict[str, Any]]:
    """Rows of the index by source, after `python -m curation run --engine inline`."""
    assert main(["run", str(location), "--run", str(run), "--engine", "inline", *more]) == 0
    return {row["source"]: row for row in RunDirectory(str(run)).index().to_pylist()}


class Tags(HTMLParser):
    """What a browser would make elements of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_markup_in_names_stays_text_on_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in" / "<script>alert(2)<"  # with the next name, a whole element
    folder.mkdir(parents=True)
    write_video(folder / "script><marquee>x.mp4", size=SMALL, seconds=0.2)
    write_video(folder / MARKUP, size=SMALL, seconds=0.2)
    (folder / f"broken {MARKUP}").write_bytes(b"no video")
    rows = curate(tmp_path / "in", tmp_path / "run")
    assert {row["reject_rule"] for row in rows.values()} == {"short_edge", "unreadable"}
    page = Tags()
    page.feed((tmp_path / "run" / "report.html").read_text())
    assert not [tag for tag, _ in page.tags if tag == "marquee"]
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert not [attributes for tag, attributes in page.tags if tag == "img" and attributes.get("src") == "x"]
    # The report's own: its scores as data, and the code that draws them.
    assert [attributes.get("type") for tag, attributes in page.tags if tag == "script"] == ["application/json", None]
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    for row in rows.values():
        assert main(["show", row["key"], "--run", str(tmp_path / "run")]) == 0
    assert "[red]Title [id]" in "".join(capsys.readouterr().out.split("\n"))


def test_every_entry_of_an_odd_directory_is_in_the_index(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = write_video(folder / "Title [id].mp4", size=SMALL, seconds=0.2)
    os.link(good, folder / "a::b.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile 'Title [id].mp4'\n")
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(good.read_bytes())
    rows = curate(folder, tmp_path / "run")
    assert {uri.removeprefix(f"{folder}/"): row["reject_rule"] for uri, row in rows.items()} == {
        "Title [id].mp4": "short_edge",
        "a::b.mp4": "short_edge",
        r"caf\xe9.mp4": "name_not_utf8",
        "gone.mp4": "missing",
        "list.mp4": "unreadable",
    }
    reasons = [json.loads(path.read_text()) for path in (tmp_path / "run" / "quarantine").iterdir()]
    assert sorted(reason["rule"] for reason in reasons) == ["missing", "name_not_utf8", "unreadable"]
    assert str(reasons) == str(reasons).encode("ascii", "backslashreplace").decode()
    assert curate(folder, tmp_path / "run") == rows


def test_a_manifest_of_every_type_comes_out_as_json(tmp_path: Path) -> None:
    kept = write_video(tmp_path / "kept.mp4", seconds=1)
    table = pa.table(
        {
            "path": [str(kept), "gone.mp4"],
            "taken": pa.array([datetime.datetime(2024, 1, 2), None], pa.timestamp("us")),
            "score": [float("nan"), 1.0],
            "price": pa.array(["1.50", "2"]).cast(pa.decimal128(5, 2)),
            "note": [b"text", b"more"],
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    lenient = ("stages.split.min_clip_s=0.5", "stages.quality.min_score=0.0", "stages.defects.max_still_s=9.0")
    sets = [word for each in lenient for word in ("--set", each)]
    rows = curate(tmp_path / "list.parquet", tmp_path / "run", "--pool", "general", *sets)
    assert rows[f"{tmp_path}/gone.mp4"]["reject_rule"] == "missing"
    tars = list((tmp_path / "run" / "shards").glob("*.tar"))
    assert tars, "the clip must be kept for its JSON to be seen"
    for path in tars:
        with tarfile.open(path) as tar:
            names = [name for name in tar.getnames() if name.endswith(".json")]
            files = [file for name in names if (file := tar.extractfile(name)) is not None]
            documents = [json.loads(file.read(), parse_constant=pytest.fail) for file in files]
        right = {"taken": "2024-01-02T00:00:00", "score": None, "price": 1.5, "note": "text"}
        assert [document["metadata"] for document in documents] == [right] * len(documents)


def test_odd_keys_of_a_bucket_end_no_run(object_store: str, tmp_path: Path) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("oddkeys", exist_ok=True)
    good = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=0.2))
    for key in ("in/a::b.mp4", "in/Title [id].mp4", "in/d//e.mp4"):
        store.put_file(good, f"oddkeys/{key}")
    store.call_s3("put_object", Bucket="oddkeys", Key="in/folder/", Body=b"")
    lines = ["in/a::b.mp4", "in/gone.mp4", "in/folder/", "s3://no such::bucket/x.mp4", "s3://oddkeys"]
    store.pipe_file("oddkeys/list.csv", "\n".join(["path", *lines]).encode())
    found = curate("s3://oddkeys/in", tmp_path / "keys") | curate("s3://oddkeys/list.csv", tmp_path / "list")
    assert {uri.removeprefix("s3://oddkeys/"): row["reject_rule"] for uri, row in found.items()} == {
        "in/a::b.mp4": "short_edge",
        "in/Title [id].mp4": "short_edge",
        "in/d//e.mp4": "short_edge",
        "in/gone.mp4": "missing",
        "in/folder/": "missing",
        "s3://no such::bucket/x.mp4": "unreadable",
        "s3://oddkeys": "unreadable",
    }
