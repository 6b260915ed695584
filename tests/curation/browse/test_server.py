from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import s3fs

from curation.browse.collection import Collection, open_collection
from curation.browse.server import serving
from tests.curation.browse.conftest import MP4, WAV
from tests.worlds.browsed import ask
from tests.worlds.merged_run import merge_shards
from tests.worlds.synthetic_run import HOSTILE, clip, source, sources, write_playable_run, write_run

TALK, HOSTILE_UNIT, FOREST, SMALL, BROKEN = sources()
WITH_SOUND, SOUNDLESS, REJECTED = (TALK.clips[index].key for index in range(3))


def read(_done: int, _of: int) -> None:
    """Nobody watches."""


def place(key: str, **more: str) -> dict[str, str]:
    return {"run": "0", "key": key, **more}


def test_the_list_has_rows_counts_and_the_columns_that_are_asked_about(address: str) -> None:
    found = ask(address, "api/clips", "state=kept&sort=-face_presence&show=subtitle_width&show=fps").json
    assert (found["count"], found["clips"], found["pages"]) == (5, 5, 1)
    assert found["seconds"] == pytest.approx(23.0)
    first = found["rows"][0]
    assert (first["key"], first["face_presence"], first["fps"]) == (WITH_SOUND, 0.9, 25.0)
    assert first["facts"] == ["1080×1920", "0–4.5 s", "portrait", "1 person", "talking"]
    assert {"state", "rule", "shard", "source"} <= first.keys()
    assert "thumbnail" not in first
    assert found["rows"][1]["face_presence"] is None


def test_a_page_behind_the_last_is_empty_and_counts_all(address: str) -> None:
    found = ask(address, "api/clips", "page=9").json
    assert (found["rows"], found["count"], found["pages"]) == ([], 10, 1)


def test_a_picture_is_the_one_of_the_index(address: str) -> None:
    answer = ask(address, "thumbnail", place(REJECTED))
    assert answer.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] == 192
    assert ask(address, "thumbnail", place(BROKEN.key)).status == 404


def test_a_clip_plays_with_its_sound_and_files_come_as_they_are(address: str) -> None:
    assert ask(address, "file", place(WITH_SOUND, kind="mp4")).body == MP4
    assert ask(address, "file", place(WITH_SOUND, kind="wav")).body == WAV
    assert ask(address, "file", place(WITH_SOUND, kind="json")).json["key"] == WITH_SOUND
    clip = ask(address, "clip", place(WITH_SOUND))
    assert clip.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(clip.body)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert ask(address, "clip", place(SOUNDLESS)).body == MP4
    assert ask(address, "file", place(SOUNDLESS, kind="wav")).status == 404


@pytest.mark.parametrize("path", ["clip", "file"])
@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)), ("bytes=-64", slice(-64, None)),
     ("bytes=5-5", slice(5, 6)), ("bytes=10-99999999", slice(10, None))],
)  # fmt: skip
def test_a_part_of_a_clip_is_that_part(address: str, path: str, asked: str, part: slice) -> None:
    whole = ask(address, path, place(WITH_SOUND))
    assert (whole.status, whole.headers["accept-ranges"]) == (200, "bytes")
    some = ask(address, path, place(WITH_SOUND), Range=asked)
    first, last, _ = part.indices(len(whole.body))
    assert (some.status, some.body) == (206, whole.body[part])
    assert some.headers["content-range"] == f"bytes {first}-{last - 1}/{len(whole.body)}"


def test_a_part_that_there_is_not_and_one_that_makes_no_sense(address: str) -> None:
    size = len(MP4)
    beyond = ask(address, "file", place(WITH_SOUND), Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"], beyond.body) == (416, f"bytes */{size}", b"")
    for odd in ("bytes=-", "bytes=0-1,5-6", "lines=0-5", "bytes=9-3x"):
        assert ask(address, "file", place(WITH_SOUND), Range=odd).status == 200


def test_a_record_is_the_one_that_show_prints_and_where_its_files_lie(address: str, run: str) -> None:
    answer = ask(address, "api/record", {"key": HOSTILE_UNIT.clips[0].key}).json
    record = answer["records"]["0"]
    sections = {section["title"].partition(" in ")[0]: dict(section["values"]) for section in record["sections"]}
    assert {"Record", "Decision", "Files", "Caption", "Sample"} <= sections.keys()
    assert sections["Record"]["source"] == HOSTILE
    assert record["caption"]["detailed"] == "A person walks to the left."
    file = record["files"]["mp4"]
    assert Path(file["tar"]).read_bytes()[file["offset"] : file["offset"] + file["size"]] == MP4
    assert answer["row"]["state"] == "kept"
    failed = ask(address, "api/record", {"key": BROKEN.key}).json["records"]["0"]
    assert ["detail", "no <moov> atom"] in failed["sections"][-2]["values"] + failed["sections"][-1]["values"]
    assert run in file["tar"]


def test_how_a_column_is_spread(address: str) -> None:
    found = ask(address, "api/columns/num_people", "state=kept").json
    assert found["values"] == [["1", 3], ["0", 1], ["2", 1]]
    assert ask(address, "api/columns/nothing").status == 404


@pytest.mark.parametrize(
    ("path", "query", "status", "words"),
    [
        ("api/clips", "sort=nothing", 400, "no column 'nothing'"),
        ("api/clips", "min.key=3", 400, "key has no numbers"),
        ("api/record", "key=../../etc/passwd", 404, "there is no clip '../../etc/passwd'"),
        ("api/record", "", 404, "there is no clip ''"),
        ("file", f"run=0&key={WITH_SOUND}&kind=../x", 404, "no kind '../x'"),
        ("file", f"run=7&key={WITH_SOUND}", 404, "in run 7"),
        ("file", f"run=-1&key={WITH_SOUND}", 404, "in run -1"),
        ("clip", f"run=0&key={REJECTED}", 404, "has no mp4"),
        ("clip", "run=0&key=%00%ff", 404, "there is no clip"),
        ("..%2f..%2fetc/passwd", "", 404, "Not Found"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_one_line(address: str, path: str, query: str, status: int, words: str) -> None:
    answer = ask(address, path, query)
    assert answer.status == status
    assert words in answer.line


def test_only_names_of_this_machine_are_answered_to(address: str) -> None:
    assert ask(address, "api/clips", Host="evil.example").status == 400
    assert ask(address, "api/clips", Host="localhost:8600").status == 200


def test_the_page_and_its_answers_are_for_itself_alone(address: str) -> None:
    page = ask(address, "")
    assert "text/html" in page.headers["content-type"]
    for answer in (page, ask(address, "api/clips")):
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
def copied(run: str, tmp_path: Path) -> tuple[Path, Collection]:
    """A copy of the run, to be damaged after its index was read."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    return copy, open_collection(str(copy), read)


def test_a_damaged_tar_is_one_line_and_the_rest_goes_on(copied: tuple[Path, Collection]) -> None:
    (tar,) = (copied[0] / "shards").glob("*.tar")
    with serving(copied[1]) as address:
        tar.write_bytes(tar.read_bytes()[:700])
        for path in ("clip", "file", "api/record"):
            answer = ask(address, path, place(WITH_SOUND))
            assert (answer.status, "is damaged" in answer.line) == (400, True)
        tar.unlink()
        gone = ask(address, "clip", place(WITH_SOUND))
        assert (gone.status, "there is no" in gone.line) == (404, True)
        assert ask(address, "thumbnail", place(WITH_SOUND)).status == 200
        assert ask(address, "api/clips").json["count"] == 10


def test_an_index_that_is_gone_or_damaged_is_one_line(copied: tuple[Path, Collection]) -> None:
    (index,) = (copied[0] / "shards").glob("*.parquet")
    with serving(copied[1]) as address:
        index.write_bytes(b"nothing")
        assert "cannot be read" in ask(address, "thumbnail", place(WITH_SOUND)).line
        index.unlink()
        answer = ask(address, "thumbnail", place(WITH_SOUND))
        assert (answer.status, index.name in answer.line) == (502, True)


def test_what_does_not_play_is_one_line(tmp_path: Path) -> None:
    run = write_playable_run(str(tmp_path / "run"), b"no video", WAV)
    with serving(open_collection(run, read)) as address:
        answer = ask(address, "clip", place(WITH_SOUND))
        assert (answer.status, "do not go together" in answer.line) == (422, True)


def test_a_run_on_an_object_store_plays(object_store: str) -> None:
    s3fs.S3FileSystem().makedirs("browsed", exist_ok=True)
    run = write_playable_run("s3://browsed/run", MP4, WAV)
    with serving(open_collection(run, read)) as address:
        assert ask(address, "api/clips", "state=kept").json["count"] == 5
        assert ask(address, "file", place(WITH_SOUND), Range="bytes=8-99").body == MP4[8:100]
        with av.open(io.BytesIO(ask(address, "clip", place(WITH_SOUND)).body)) as container:
            assert len(container.streams.audio) == 1


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "run" / "shards").mkdir(parents=True)
    with serving(open_collection(str(tmp_path / "run"), read)) as address:
        assert ask(address, "").status == 200
        found = ask(address, "api/clips", "q=x&sort=-start_s").json
        assert (found["count"], found["seconds"], found["rows"]) == (0, 0.0, [])


def test_a_page_that_was_open_before_a_merge_finds_everything(tmp_path: Path) -> None:
    run = write_playable_run(str(tmp_path / "run"), MP4, WAV)
    more = source("/in/more.mp4", 1280, 720, 10.0)
    write_run(run, [replace(more, clips=(clip(more, 0).reject("faces", "presence", 0.1, 0.5),))], session="two")
    with serving(open_collection(run, read)) as address:
        before = ask(address, "clip", place(WITH_SOUND)).body
        merge_shards(run)
        assert len(open_collection(run, read).runs[0].directory.names()) == 1
        for key, status in ((WITH_SOUND, 200), (SOUNDLESS, 200), (more.clip_key(0), 404)):
            assert ask(address, "thumbnail", place(key)).status == 200
            assert ask(address, "api/record", {"key": key}).status == 200
            assert ask(address, "file", place(key, kind="mp4")).status == status
        assert ask(address, "clip", place(WITH_SOUND)).body == before
        assert ask(address, "file", place(SOUNDLESS, kind="mp4")).body == MP4
