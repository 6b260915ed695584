"""The page: everything in it, nothing executed that a file brought, drawings of what the rows hold."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest

from bench.report.command import run, why_unscored
from bench.report.evidence import curves_by_second, drift_curves, pictures
from bench.report.offsets import offset_curve
from bench.report.options import add_arguments
from bench.report.page import ReportConfig, ReportInput, write_report
from bench.rows import Row, RowStore
from infra.command_line import Parser
from tests.worlds.html_page import Page
from tests.worlds.scored_rows import CATALOGUE, HOSTILE, groups, row, rows, sample_ids

SAMPLES = sample_ids(10)


def page(out: Path, given: ReportInput, config: ReportConfig | None = None) -> Page:
    write_report(out, given, config or ReportConfig())
    return Page((out / "report.html").read_text())


def data(page: Page) -> dict[str, Any]:
    """The JSON block, which stands before the script."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(page.raw["script"])[0]
    return found


@pytest.fixture
def given(tmp_path: Path) -> ReportInput:
    videos = tmp_path / "my videos" / "Good"
    videos.mkdir(parents=True)
    (videos / f"{SAMPLES[0]}.mp4").write_bytes(b"")
    return ReportInput(
        rows=rows(SAMPLES, controls=("frozen",)),
        samples=groups(SAMPLES),
        catalogue=CATALOGUE,
        videos={"Good": videos},
        missing={"syncnet": "no weights"},
    )


def test_every_part_is_there(tmp_path: Path, given: ReportInput) -> None:
    found = page(tmp_path / "out", given)
    ids = {attributes.get("id") for attributes in found.all("section")}
    assert {"leaderboard", "metrics", "controls", "slices", "drift", "offsets", "players", "worst"} <= ids
    assert "n = 9/10; 1 no face" in found.text
    assert "Not measured 1 metric that cannot run here; nothing stands in for it metric what is missing" in found.text
    assert "syncnet no weights" in found.text
    assert found.text.index("syncnet no weights") > found.text.index("Worst 10"), "not the first thing seen"
    assert "open" not in found.all("details")[-1], "folded away"
    assert "frozen" in found.text
    # Ten worst of each of three headline values, and each leads to a sample that is there.
    shown = [button["data-show"] for button in found.all("button") if "data-show" in button]
    assert len(shown) == 30
    assert set(shown) <= set(SAMPLES)
    assert {part["data-sample"] for part in found.all("div") if "data-sample" in part} == set(SAMPLES)
    assert (tmp_path / "out" / "leaderboard.csv").is_file()


def test_methods_without_rows_and_gaps_say_why(tmp_path: Path, given: ReportInput) -> None:
    some = [one for one in given.rows if not (one.method == "Poor" and one.metric in ("av_align", "appearance"))]
    older = [replace(one, protocol="bbbb") for one in given.rows if one.method == "Poor" and one.metric == "appearance"]
    told = replace(given, rows=[*some, *older], unscored={"Late": "not scored yet"}, missing={"av_align": "no ears"})
    board = page(tmp_path / "out", told).text.partition("One table for each metric")[0]
    assert "Late not scored yet" in board
    assert "– not scored: av_align cannot run here" in board
    assert "– scored under another protocol only" in board
    unknown = replace(told, missing={})
    assert "– not scored by av_align" in page(tmp_path / "out", unknown).text


def test_why_a_method_has_no_row_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "0001.avi").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    assert "1 of its videos are there" in why_unscored(tmp_path, ["0001", "0002"])
    assert f"no video of these 1 samples in {tmp_path}: 2 other files are there" in why_unscored(tmp_path, ["0009"])


def test_videos_are_found_relative_to_the_page(tmp_path: Path, given: ReportInput) -> None:
    known = data(page(tmp_path / "out", given))
    methods = known["methods"]
    url = methods[0]["videos"][SAMPLES[0]]
    assert (tmp_path / "out" / unquote(url)).resolve().is_file()
    assert list(methods[0]["videos"]) == [SAMPLES[0]]


def test_the_worst_come_first(tmp_path: Path, given: ReportInput) -> None:
    html = page(tmp_path / "out", given).text
    listed = re.search(r"av_align ↑ ((?:[\d.]+ \w+ \S+ ?)+)", html[html.index("Worst 10") :])
    assert listed is not None
    values = [float(value) for value in listed[1].split()[::3]]
    assert values == sorted(values)
    least = min(one.values["av_align"] for one in given.rows if one.metric == "av_align" and not one.control)
    assert values[0] == pytest.approx(least, abs=1e-3)


def test_nothing_that_a_file_says_is_run(tmp_path: Path) -> None:
    hostile = [
        row(method=HOSTILE, sample=HOSTILE, metric=HOSTILE, protocol=HOSTILE, values={HOSTILE: 1.0}, detail=detail)
        for detail in ({f"{HOSTILE}_by_second": [1.0, 2.0]}, {"onsets_s": HOSTILE, "peaks_s": [{}], "fps": []})
    ]
    hostile.append(row(method="x", sample=HOSTILE, metric=HOSTILE, protocol="other", reason=HOSTILE, control=HOSTILE))
    given = ReportInput(
        rows=hostile, samples={HOSTILE: {HOSTILE: HOSTILE}}, videos={HOSTILE: tmp_path}, missing={HOSTILE: HOSTILE}
    )
    found = page(tmp_path / "out", given)
    assert HOSTILE in " ".join(found.words)
    assert len(found.all("script")) == 2
    assert not found.all("img")
    assert "8641969" not in found.text, "what stands in double braces was computed"
    assert not [name for tag, attributes in found.elements for name in attributes if name.startswith("on")]
    policy = next(str(one["content"]) for one in found.all("meta") if one.get("http-equiv"))
    script = (tmp_path / "out" / "report.html").read_text().rpartition("<script>")[2].partition("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_odd_names_of_directories_and_endings_lead_to_the_videos(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"v <b>&#x27; 100% \xff")
    folder.mkdir()
    for id_, suffix in zip(SAMPLES, (".WEBM", ".mov"), strict=False):
        (folder / f"{id_}{suffix}").write_bytes(b"")
    (folder / f"{SAMPLES[2]}.part.mp4").write_bytes(b"")
    found = page(tmp_path / "out", ReportInput(rows=rows(SAMPLES), samples=groups(SAMPLES), videos={"Good": folder}))
    videos = data(found)["methods"][0]["videos"]
    assert set(videos) == set(SAMPLES[:2])
    for url in videos.values():
        assert (tmp_path / "out" / os.fsdecode(unquote_to_bytes(url))).is_file()


def test_faults_of_the_program_are_named_and_counted(tmp_path: Path) -> None:
    fault = row(sample=SAMPLES[0], method="New", reason=f"internal error: ValueError: {HOSTILE}", values={})
    crash = row(sample=SAMPLES[1], method="New", control="frozen", reason="crashed", values={})
    found = page(tmp_path, ReportInput(rows=[*rows(SAMPLES), fault, crash], samples=groups(SAMPLES)))
    assert "2 rows are without a value through a fault of the program" in found.text
    assert "--retry" in found.text
    assert len(found.all("script")) == 2
    assert "errors.log" not in page(tmp_path, ReportInput(rows=rows(SAMPLES), samples=groups(SAMPLES))).text


def test_protocols_have_tables_of_their_own(tmp_path: Path, given: ReportInput) -> None:
    old = [row(method="Old", sample=one, protocol="bbbb", values={"av_align": 0.9}) for one in SAMPLES]
    found = page(tmp_path / "out", ReportInput(rows=[*given.rows, *old], samples=given.samples, catalogue=CATALOGUE))
    assert "another protocol: not comparable" in found.text
    assert "measured under more than one protocol" in found.text
    assert "measured under more than one protocol" not in page(tmp_path / "two", given).text


def test_drawings_stay_within_their_limit(tmp_path: Path, given: ReportInput) -> None:
    whole = (tmp_path / "whole", ReportConfig())
    small = (tmp_path / "small", ReportConfig(max_evidence_bytes=60_000))
    pages = [page(out, given, config) for out, config in (whole, small)]
    assert "were left out to keep the page small" in pages[1].text
    assert "left out to keep" not in pages[0].text
    assert 0 < len([1 for part in pages[1].all("div") if "data-sample" in part]) < len(SAMPLES)


def test_an_empty_run_is_a_page(tmp_path: Path) -> None:
    assert "No video has been scored yet" in page(tmp_path, ReportInput(rows=[], samples={})).text


def test_onsets_and_peaks_stand_at_their_times() -> None:
    drawn = pictures(
        row(values={"x": 1.0}, detail={"onsets_s": [0.0, 10.0], "peaks_s": [5.0], "motion": [1, 2], "fps": 25})
    )
    assert len(drawn) == 1
    assert drawn[0].title == "2 sound onsets, 1 motion peaks"
    places = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", str(drawn[0].svg))
    xs = [float(x) for x, *_ in places]
    assert xs[2] == pytest.approx((xs[0] + xs[1]) / 2)
    # What hangs and what stands meet in the middle.
    assert places[0][2] == places[2][1]


def test_time_curves_of_both_forms() -> None:
    assert curves_by_second({"drift_by_second": [1.0, None, 3.0]}) == {"drift": [1.0, None, 3.0]}
    binned = curves_by_second({"times_s": [0.1, 0.6, 2.5], "cosines": [1.0, 0.5, 0.2], "short": [1.0]})
    assert binned == {"cosines": [0.75, None, 0.2]}
    for bad in (
        {"x_by_second": "text"},
        {"x_by_second": [float("inf")]},
        {"times_s": [1e12], "y": [1.0]},
        {"x_by_second": [True]},
    ):
        assert curves_by_second(bad) == {}


def test_drift_is_the_mean_over_videos_that_last() -> None:
    made: list[Row] = [
        row(
            sample=str(index), values={"x": 1.0}, detail={"d_by_second": [float(index), *([9.0] if index == 0 else [])]}
        )
        for index in range(5)
    ]
    found = drift_curves(made, {"Good": 0})
    assert found[0].num_videos == {"Good": 5}
    # The second second has one video only, and is not drawn.
    line = re.search(r'polyline class="line c0" points="([^"]*)"', str(found[0].svg))
    assert line is not None
    assert len(line[1].split()) == 1


def test_syncnet_s_distances_are_turned_to_offsets() -> None:
    distances = [9.0] * 31
    distances[12] = 5.0  # offset 15 - 12 = 3, as in the published example
    curve = offset_curve("distances", distances)
    assert curve is not None
    assert curve.values.index(5.0) - 15 == 3
    assert offset_curve("curve", [0.0, 1.0]) is None
    assert offset_curve("other", distances) is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser()
    add_arguments(parser)
    with pytest.raises(ValueError, match="--out: no such directory"):
        run(parser.parse_args(["--out", str(tmp_path / "none")]))
    with pytest.raises(ValueError, match="holds no rows"):
        run(parser.parse_args(["--out", str(tmp_path)]))
    RowStore(tmp_path).append(rows(SAMPLES))
    with pytest.raises(ValueError, match="no directory of videos"):
        run(parser.parse_args(["--out", str(tmp_path), "--videos", f"Good={tmp_path / 'none'}"]))
    run(parser.parse_args(["--out", str(tmp_path)]))
    assert "n = 9/10" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()
