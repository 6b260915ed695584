from __future__ import annotations

import datetime
import io
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.sources.manifest import read_manifest
from infra.config import ConfigError

XLSX_CSV = b"\xef\xbb\xbfpath,label\r\na.mp4,x\r\nb.mp4,y\r\n"


def rows(path: Path, content: bytes | str, **options: str) -> list[tuple[str, dict[str, Any]]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(entry.path, entry.metadata) for entry in read_manifest(str(path), **options)]


TWO = [("a.mp4", {"label": "x"}), ("b.mp4", {"label": "y"})]


@pytest.mark.parametrize(
    "content",
    [
        XLSX_CSV,
        "path,label\na.mp4,x\nb.mp4,y",
        "path;label\na.mp4;x\nb.mp4;y\n",
        "path\tlabel\na.mp4\tx\nb.mp4\ty\n",
        'label|"path"\nx|a.mp4\ny|b.mp4\n',
        "path, label\na.mp4, x\nb.mp4, y\n",
        "\npath,label\n\na.mp4,x\n,\nb.mp4,y\n\n",
        "path,label,\na.mp4,x,\nb.mp4,y,\n",
        "path,label\na.mp4,x,,\nb.mp4,y\n",
    ],
    ids=["BOM and CRLF", "plain", "semicolons", "tabs", "bars", "blanks", "empty rows", "empty column", "empty fields"],
)
def test_what_programs_make_of_csv(tmp_path: Path, content: bytes | str) -> None:
    assert rows(tmp_path / "list.csv", content) == TWO


def test_names_with_commas_in_a_file_of_tabs(tmp_path: Path) -> None:
    assert rows(tmp_path / "one.tsv", "path\na, b.mp4\n") == [("a, b.mp4", {})]
    assert rows(tmp_path / "two.tsv", "path\tlabel,more\na.mp4\tx,y\n") == [("a.mp4", {"label,more": "x,y"})]
    assert rows(tmp_path / "three.tsv", "path,label\na.mp4,x\nb.mp4,y\n") == TWO


def test_a_quoted_field_keeps_its_commas_lines_and_blanks(tmp_path: Path) -> None:
    found = rows(tmp_path / "list.csv", 'path,label\n" a, b.mp4", "two\nlines; 5"" tall"\n')
    assert found == [(" a, b.mp4", {"label": 'two\nlines; 5" tall'})]


def test_the_column_of_paths_is_found_in_any_letters_and_the_exact_name_first(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.csv", "Path,Label\na.mp4,x\n") == [("a.mp4", {"Label": "x"})]
    assert rows(tmp_path / "b.csv", "PATH,path\nno,a.mp4\n") == [("a.mp4", {"PATH": "no"})]
    assert rows(tmp_path / "c.csv", "File;n\na.mp4;1\n", path_column="file") == [("a.mp4", {"n": "1"})]


def test_json_lines_with_a_mark_and_odd_line_ends(tmp_path: Path) -> None:
    content = '\ufeff{"path": "a.mp4", "label": "one\u2028two\u0085"}\r\n\n{"path": "b.mp4"}'
    assert rows(tmp_path / "list.jsonl", content) == [("a.mp4", {"label": "one\u2028two\u0085"}), ("b.mp4", {})]


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    content = '{"path": "a.mp4", "score": NaN, "more": {"list": [Infinity, 1.5, -Infinity]}}'
    ((_, metadata),) = rows(tmp_path / "list.jsonl", content)
    assert metadata == {"score": None, "more": {"list": [None, 1.5, None]}}
    json.dumps(metadata, allow_nan=False)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    ((path, metadata),) = rows(tmp_path / "list.jsonl", '{"path": "a.mp4", "title\\ud83d": "smile \\ud83d"}')
    assert (path, metadata) == ("a.mp4", {"title\\ud83d": "smile \\ud83d"})


def test_parquet_types_become_plain_json(tmp_path: Path) -> None:
    times = pa.struct({"at": pa.timestamp("ns"), "of": pa.duration("ns"), "by": pa.time64("ns")})
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=berlin)
    table = pa.table(
        {
            "path": pa.array([b"a.mp4"], pa.binary()),
            "day": pa.array([moment.date()], pa.date32()),
            "moment": pa.array([moment], pa.timestamp("us", "+01:00")),
            "whole": pa.array([1_704_164_645_000_001_000], pa.timestamp("ns", "+01:00")),
            "fine": pa.array([1_704_164_645_000_000_001], pa.timestamp("ns")),
            "finer": pa.array([[{"at": 1_704_164_645_000_000_001, "of": 1_500_000_001, "by": 1}]], pa.list_(times)),
            "clock": pa.array([moment.time()], pa.time64("us")),
            "span": pa.array([1500], pa.duration("ms")),
            "price": pa.array([Decimal("12.50")], pa.decimal128(10, 2)),
            "count": pa.array([Decimal(7)], pa.decimal128(10, 0)),
            "exact": pa.array([Decimal("0.1234567890123456789")], pa.decimal128(30, 19)),
            "score": pa.array([float("nan")], pa.float32()),
            "half": pa.array([0.5], pa.float32()).cast(pa.float16()),
            "text": pa.array(["äöü".encode()], pa.large_binary()),
            "nested": pa.array([{"tags": ["x", None], "at": moment.date()}]),
            "map": pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())),
            "kind": pa.array(["x"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    (entry,) = list(read_manifest(str(tmp_path / "list.parquet")))
    assert entry.path == "a.mp4"
    assert entry.metadata == {
        "day": "2024-01-02",
        "moment": "2024-01-02T03:04:05+01:00",
        "whole": "2024-01-02T04:04:05.000001+01:00",
        "fine": "2024-01-02 03:04:05.000000001",
        "finer": [{"at": "2024-01-02 03:04:05.000000001", "of": 1.5, "by": "00:00:00.000000001"}],
        "clock": "03:04:05",
        "span": 1.5,
        "price": 12.5,
        "count": 7,
        "exact": "0.1234567890123456789",
        "score": None,
        "half": 0.5,
        "text": "äöü",
        "nested": {"tags": ["x", None], "at": "2024-01-02"},
        "map": [["k", 1.0]],
        "kind": "x",
    }
    assert json.loads(json.dumps(entry.metadata, allow_nan=False)) == entry.metadata


WRONG: list[tuple[str, bytes | str, str]] = [
    ("csv", "path,t\na.mp4," + "x" * 200_000, r"row 1: a field is longer than 128 KiB.*\(line 2\)"),
    ("csv", 'path,t\na.mp4,x\nb.mp4,"open\nc.mp4,y\n', r"row 2: a quote is left open"),
    ("csv", 'path,t\na.mp4,"x"y\n', r"row 1: .*expected after.*\(line 2\)"),
    ("csv", "path,t\na.mp4,x\n\nb.mp4,y,z\n", r"row 2 has 3 fields and the header 2.*quotes \(line 4\)"),
    ("csv", "path,t\na.mp4\n", r"row 1 has 1 field and the header 2 \(line 2\)"),
    ("csv", "path,,t\na.mp4,stray,x\n", r"row 1: 'stray' stands in a column without a name"),
    ("csv", "path,t,t\na.mp4,x,y\n", r"the header has 't' twice"),
    ("csv", "path,t\n,x\n", r"row 1 has no path; it has t \(line 2\)"),
    ("csv", "path,t\na.mp4,caf\xe9\n".encode("latin-1"), r"line 2 is not UTF-8 \(byte 0xe9\).*iconv"),
    ("csv", "path\na.mp4\n".encode("utf-16"), r"it is UTF-16: save it as UTF-8"),
    ("csv", "path\na.mp4\n".encode("utf-16-le"), r"line 1 holds a NUL"),
    ("csv", "a.mp4\nb.mp4\n", r"no column path or uri .*; it has a\.mp4"),
    ("jsonl", '[{"path": "a.mp4"}]', r"row 1 is a list: every line must hold one object.*jq"),
    ("jsonl", '["a.mp4"]', r"row 1 is a list"),
    ("jsonl", '{"path": "a.mp4"}\n"b.mp4"', r"row 2 is text: .*\(line 2\)"),
    ("jsonl", '{"path": "a.mp4"}\n\nnull', r"row 2 is null: .*\(line 3\)"),
    ("jsonl", '{\n "path": "a.mp4"\n}', r"row 1 is not JSON, .*one whole object \(line 1\)"),
    ("jsonl", '{"path": 5}', r"row 1: path is a number, not text: 5 \(line 1\)"),
    ("jsonl", '{"path": "a.mp4"}\n{"path": ["b.mp4"]}', r"row 2: path is a list, not text"),
    ("jsonl", '{"path": true}', r"row 1: path is true or false, not text"),
    ("jsonl", '{"path": NaN, "x": 1}', r"row 1 has no path; it has x \(line 1\)"),
    ("jsonl", '{"path": "a.mp4"}\n{"file": "b.mp4"}', r"row 2 has no path; it has file \(line 2\)"),
    ("jsonl", '{"path": "a\\u0000.mp4"}', r"row 1: path holds a NUL"),
    ("jsonl", '{"path": "a.mp4", "x": ' + "[" * 100_000 + "}", r"row 1 is nested too deeply"),
    *(
        ("jsonl", f'{{"path": "a.mp4", "x": {"[" * levels}{"]" * levels}}}', r"row 1.* nested .*deep.*\(line 1\)")
        for levels in (101, 500, 900, 990)
    ),
    ("jsonl", '{"path": "a.mp4", "x": ' + '{"k": ' * 500 + "1" + "}" * 501, r"row 1: column 'x' is nested"),
    ("jsonl", '{"path": "a.mp4", "path": "b.mp4"}', r"row 1: it has 'path' twice \(line 1\)"),
    ("jsonl", '{"path": "a.mp4"}\n{"path": "b.mp4", "x": {"k": 1, "k": 2}}', r"row 2: it has 'k' twice \(line 2\)"),
    ("parquet", b"PAR1 no parquet", "cannot read manifest"),
    ("parquet", b"", "cannot read manifest"),
]


@pytest.mark.parametrize(("kind", "content", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_manifest_is_one_line_that_names_the_row(
    tmp_path: Path, kind: str, content: bytes | str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        rows(tmp_path / f"list.{kind}", content)
    assert "\n" not in str(told.value)
    assert str(tmp_path / f"list.{kind}") in str(told.value)
    assert len(str(told.value)) < 400


def latin(*texts: str) -> pa.Array:
    """Text that says it is UTF-8 and is not."""
    return pa.array([text.encode("latin-1") for text in texts]).view(pa.string())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"path": ["a.mp4", None]}), "row 2 has no path"),
        (pa.table({"path": [1, 2]}), "row 1: path is a number, not text: 1"),
        (
            pa.table({"path": ["a.mp4"], "jpeg": [b"\xff\xd8\xff"]}),
            "row 1: column 'jpeg' holds bytes that are not text",
        ),
        (pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["path", "path"]), "column 'path' twice"),
        (
            pa.table({"path": ["a", "b"], "t": pa.array([0, 2**62], pa.timestamp("us"))}),
            "row 2: column 't' cannot be read: date value out of range",
        ),
        (
            pa.table({"path": ["a", "b"], "t": pa.array([0, 2**62], pa.duration("s"))}),
            "row 2: column 't' cannot be read: ",
        ),
        (pa.table({"path": ["a", "b"], "t": latin("good", "caf\xe9")}), "row 2: column 't' cannot be read: 'utf-8'"),
    ],
)
def test_a_wrong_parquet_manifest_is_one_line_too(tmp_path: Path, table: pa.Table, message: str) -> None:
    pq.write_table(table, tmp_path / "list.parquet")
    with pytest.raises(ConfigError, match=message) as told:
        list(read_manifest(str(tmp_path / "list.parquet")))
    assert "\n" not in str(told.value)


def test_a_damaged_parquet_manifest_is_one_line(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"path": [f"{n}.mp4" for n in range(99)], "n": range(99)}), sink)
    generator, told = random.Random(0), []
    for _ in range(600):
        damaged = bytearray(sink.getvalue())
        for _ in range(generator.randint(1, 6)):
            damaged[generator.randrange(len(damaged) - 1200, len(damaged))] = generator.randrange(256)
        try:
            rows(tmp_path / "list.parquet", bytes(damaged))
        except ConfigError as error:
            told.append(str(error))
    assert len(told) > 300
    assert not any("\n" in line for line in told)


@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError, pa.ArrowKeyError, pa.ArrowInvalid])
def test_whatever_arrow_says_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error("Integers with less than 8 bits\nnot implemented")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(ConfigError, match="Integers with less than 8 bits not implemented"):
        rows(tmp_path / "list.parquet", b"")


READ = {"bom.csv": 2, "crlf.csv": 2, "semicolon.csv": 2, "spaces.csv": 2, "emptyrow.csv": 2, "upper.csv": 2}
READ |= {"nan.jsonl": 2, "date.parquet": 2, "missing_one.csv": 2, "dup.csv": 4, "bracket.csv": 4}
"""Manifests that people made: how many entries they have."""
REFUSED = {
    "array.jsonl": "row 1 is a list",
    "list.jsonl": "row 1 is a list",
    "big.csv": "row 1: a field is longer",
    "extra.csv": "row 1 has 3 fields",
    "latin1.csv": "line 2 is not UTF-8",
    "mixed.jsonl": "row 2 has no path",
    "null.parquet": "row 2 has no path",
}
"""And those that are wrong: what is said."""


@pytest.fixture
def made_by_people(shared: Path) -> Path:
    folder = shared / "cases" / "manifests"
    if not folder.is_dir():
        pytest.skip("no manifests in the shared folder")
    return folder


@pytest.mark.parametrize("name", READ)
def test_manifests_that_people_made(made_by_people: Path, name: str) -> None:
    entries = list(read_manifest(str(made_by_people / name)))
    assert len(entries) == READ[name]
    json.dumps([entry.metadata for entry in entries], allow_nan=False)


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_manifests_that_people_made(made_by_people: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[name]):
        list(read_manifest(str(made_by_people / name)))
