from __future__ import annotations

import io
import json
from pathlib import Path

import av
import pytest

from curation.browse.collection import Collection, open_collection
from curation.browse.export import Exported, write_export
from curation.browse.query import Query
from curation.browse.selection import select
from infra.config import ConfigError
from tests.curation.browse.conftest import MP4, WAV
from tests.worlds.html_page import Page
from tests.worlds.synthetic_run import sources, write_playable_run

TALK = sources()[0]


def export(collection: Collection, folder: Path, text: str, most: int = 100) -> Exported:
    query = Query.parse(text, collection.table.schema)
    told: list[tuple[int, int]] = []
    done = write_export(
        select(collection, query), query, folder, most=most, written=lambda done, of: told.append((done, of))
    )
    assert told == [(number, done.num_rows) for number in range(1, done.num_rows + 1)]
    return done


def data_of(folder: Path) -> dict[str, object]:
    page = Page((folder / "index.html").read_text())
    data: dict[str, object] = json.loads(
        (folder / "index.html").read_text().partition('id="about">')[2].partition("</script>")[0]
    )
    assert not page.all("link") or all(str(link["href"]).startswith("data:") for link in page.all("link"))
    return data


def test_the_folder_holds_the_rows_their_pictures_and_their_clips(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    done = export(collection, folder, "q=talk&sort=-start_s")
    assert (done.num_rows, done.num_clips, done.notes) == (3, 2, ())
    data = data_of(folder)
    rows: list[dict[str, object]] = data["rows"]  # type: ignore[assignment]
    assert [row["key"] for row in rows] == [clip.key for clip in reversed(TALK.clips)]
    assert (data["sort"], data["selected"]) == ("-start_s", 3)
    assert rows[0]["clips"] == {"0": None}
    for row, num_streams in ((rows[1], 1), (rows[2], 2)):
        clip, picture = (folder / str(row[kind]["0"]) for kind in ("clips", "pictures"))  # type: ignore[index]
        with av.open(io.BytesIO(clip.read_bytes())) as container:
            assert len(container.streams) == num_streams
        assert picture.read_bytes()[:2] == b"\xff\xd8"
    assert set(data["records"]) == {clip.key for clip in TALK.clips}  # type: ignore[call-overload]
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert done.num_bytes == written


def test_no_more_than_was_asked_for(collection: Collection, tmp_path: Path) -> None:
    done = export(collection, tmp_path / "few", "state=kept", most=2)
    assert (done.num_rows, len(list((tmp_path / "few" / "clips").iterdir()))) == (2, 2)
    assert done.notes == ("the first 2 of 5 rows are exported: --most takes more",)


def test_what_is_damaged_is_left_out_and_told(tmp_path: Path) -> None:
    collection = open_collection(write_playable_run(str(tmp_path / "run"), b"no video", WAV), lambda _done, _of: None)
    done = export(collection, tmp_path / "shared", "q=talk")
    assert (done.num_rows, done.num_clips) == (3, 1)
    assert len(done.notes) == 1
    assert "left out: clips/" in done.notes[0]


def test_odd_keys_stay_in_the_folder(collection: Collection, tmp_path: Path) -> None:
    table = collection.table
    index = table.column_names.index("key")
    import pyarrow as pa  # noqa: PLC0415 (as late as its use)

    keys = ["../../escaped/%2e" if key == TALK.clips[0].key else key for key in table["key"].to_pylist()]
    odd = Collection(runs=collection.runs, table=table.set_column(index, "key", pa.array(keys)))
    done = export(odd, tmp_path / "deep" / "shared", "q=escaped")
    assert done.num_rows == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


def test_a_folder_in_use_and_an_empty_selection_are_refused(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        export(collection, tmp_path, "")
    with pytest.raises(ConfigError, match="no row is selected"):
        export(collection, tmp_path / "none", "q=nothing+like+this")
    assert not (tmp_path / "none").exists()


def test_a_closing_tag_in_a_caption_does_not_end_the_data(collection: Collection, tmp_path: Path) -> None:
    export(collection, tmp_path / "shared", "q=alert(3)")
    page = Page((tmp_path / "shared" / "index.html").read_text())
    assert len(page.all("script")) == 2
    rows: list[dict[str, object]] = data_of(tmp_path / "shared")["rows"]  # type: ignore[assignment]
    assert rows[0]["caption_brief"] == "<script>alert(3)</script> A person walks."
    assert MP4
