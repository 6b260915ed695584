from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from bench.rows import Row, RowStore, comparable, current, merge


def row(sample: str = "0001", **changes: Any) -> Row:
    fields: dict[str, Any] = {"method": "ours", "metric": "av_align", "protocol": "p1", "video": "v1", "inputs": ""}
    fields.update({"values": {"av_align": 0.25}, "detail": {"onsets": [0.5, 1.25]}, "seconds": 1.5}, **changes)
    return Row(sample=sample, **fields)


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "out")
    rows = [row(), row("0002", values={}, reason="no face"), row(method="Sonic 2", detail={"text": "口\u2028型\n"})]
    store.append(rows[:1])
    store.append(rows[1:])
    assert sorted(store.read(), key=lambda r: r.key) == sorted(rows, key=lambda r: r.key)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ours.jsonl", "Sonic 2.jsonl"}
    keys = store.keys()
    assert row().key in keys
    assert RowStore(tmp_path / "absent").read() == []


@pytest.mark.parametrize("field", ["sample", "control", "metric", "protocol", "video", "inputs", "method"])
def test_the_key_changes_with_everything_that_a_row_is_computed_from(field: str) -> None:
    changed = row(**{field: "other"}) if field != "sample" else row("other")
    assert changed.key != row().key
    assert dataclasses.replace(row(), seconds=9.0).key == row().key


def test_a_torn_last_line_is_not_read_and_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    store.append([row("0001"), row("0002")])
    path = tmp_path / "ours.jsonl"
    whole = path.read_bytes()
    for length in range(len(row("0001").to_json()) + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert [r.sample for r in store.read()] == ["0001"]
    path.write_bytes(whole[:-1])
    store.append([row("0003")])
    assert [r.sample for r in store.read()] == ["0001", "0003"]
    path.write_bytes(whole[:10])
    store.append([row("0004")])
    assert [r.sample for r in store.read()] == ["0004"]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ours.jsonl").write_text(row().to_json()[:-5] + "\n" + row().to_json() + "\n")
    with pytest.raises(ValueError, match=r"ours\.jsonl, line 1: not a result row"):
        RowStore(tmp_path).read()


@pytest.mark.parametrize(
    "changes",
    [{"reason": "no face"}, {"values": {}}, {"values": {"a": float("nan")}}, {"values": {"a": float("inf")}}],
)
def test_a_row_has_finite_values_or_a_reason(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="av_align on ours/0001"):
        row(**changes)


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b"])
def test_method_names_are_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a method's name"):
        RowStore(tmp_path).append([row(method=name)])


def test_merging_machines(tmp_path: Path) -> None:
    RowStore(tmp_path / "a").append([row("0001"), row("0002")])
    RowStore(tmp_path / "b").append([row("0002", seconds=7.0), row("0003"), row("0001", method="other")])
    RowStore(tmp_path / "c").append([row("0001", values={"av_align": 0.5})])
    merged = merge(tmp_path / "a", [tmp_path / "b", tmp_path / "c"])
    assert (merged.added, merged.known, [r.values for r in merged.conflicts]) == (2, 1, [{"av_align": 0.5}])
    rows = RowStore(tmp_path / "a").read()
    assert [(r.method, r.sample) for r in rows] == [
        ("other", "0001"),
        ("ours", "0001"),
        ("ours", "0002"),
        ("ours", "0003"),
    ]
    assert comparable(rows[1]) == comparable(row("0001"))
    again = merge(tmp_path / "a", [tmp_path / "b"])
    assert (again.added, again.known) == (0, 3)
    with pytest.raises(ValueError, match="no directory of results"):
        merge(tmp_path / "a", [tmp_path / "absent"])


def test_another_machine_s_value_takes_the_place_of_a_fault_and_not_the_other_way(tmp_path: Path) -> None:
    fault, value = row(values={}, reason="internal error: ValueError: x"), row()
    assert fault.is_fault
    assert row(values={}, reason="crashed").is_fault
    assert not value.is_fault
    assert not row(values={}, reason="no face").is_fault
    RowStore(tmp_path / "a").append([fault])
    RowStore(tmp_path / "b").append([value])
    assert merge(tmp_path / "a", [tmp_path / "b"]).added == 1
    assert RowStore(tmp_path / "a").read() == [value]
    RowStore(tmp_path / "c").append([fault])
    assert len(merge(tmp_path / "a", [tmp_path / "c"]).conflicts) == 1
    assert RowStore(tmp_path / "a").read() == [value]


def test_the_current_row_of_a_place() -> None:
    old, new = row(video="v1"), row(video="v2", values={"av_align": 0.9})
    missing = row(video="", values={}, reason="missing")
    assert current([old, new]) == [new]
    assert current([missing, new]) == [new]
    assert current([new, missing]) == [new]
    other = row(protocol="p2")
    assert current([other, old]) == [old, other]


def _append_many(arguments: tuple[str, int]) -> None:
    directory, worker = arguments
    for number in range(40):
        RowStore(Path(directory)).append([row(f"{worker}-{number}", detail={"long": "x" * 5000})])


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_append_many, [(str(tmp_path), worker) for worker in range(3)])
    assert len(RowStore(tmp_path).read()) == 120
