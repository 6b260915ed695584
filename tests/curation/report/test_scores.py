"""The report's scores: what the page's script decides is what `decide` decides."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from curation.decisions.decide import columns_needed, decide_again
from curation.report.scores import scores_data
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State
from tests.worlds.html_page import Page
from tests.worlds.report_page import report
from tests.worlds.scripted_curation import BASE, config_with, scripted_run, source_of
from tests.worlds.synthetic_run import sources, write_run

SCRIPT = Path("curation/report/scores.js")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = str(tmp_path_factory.mktemp("scored"))
    scripted_run(run, BASE, [source_of(number) for number in range(60)])
    return run


@pytest.fixture(scope="module")
def scored(run: str) -> Page:
    return report(run)


def data_of(run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scores_data(RunDirectory(run), max_rows=100_000, seed=0))
    return found


def decided_by_script(data: dict[str, Any], thresholds: dict[str, float]) -> list[str]:
    """What the page's own script makes of each row."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the page's script")
    words = f"""{SCRIPT.read_text()}
    const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
    const thresholds = {{...ownThresholds(input.data), ...input.thresholds}};
    console.log(JSON.stringify(decideRows(input.data, thresholds)));"""
    given = json.dumps({"data": data, "thresholds": thresholds})
    done = subprocess.run([node, "-e", words], input=given, capture_output=True, text=True, check=True)
    outcomes: list[str] = json.loads(done.stdout)
    return outcomes


@pytest.mark.parametrize(
    "thresholds",
    [
        {},
        {"quality.min_score": 70.1},
        {"faces.min_presence": 0.2, "subtitles.min_width": 0.1, "defects.max_frozen_s": 1.9},
        {"resolution.short_edge_above_px": 600, "consistency.min_coverage": 0.9, "scenes.max_combed_share": 0.01},
        {"consistency.max_missed_people": 0, "consistency.min_claim_probability": 0.0, "subtitles.min_width": 0.4},
    ],
)
def test_the_page_decides_as_the_command_does(run: str, thresholds: dict[str, float]) -> None:
    config = config_with(**{f"stages.{name}": value for name, value in thresholds.items()}).stages
    decided = decide_again(RunDirectory(run).index(columns_needed(config)), config)
    outcomes = decided_by_script(data_of(run), thresholds)
    assert len(outcomes) == len(decided.state)
    for row, found in enumerate(outcomes):
        state, stage = decided.state[row], decided.stage[row]
        if state == State.TO_COMPUTE and stage in ("sync", "caption"):
            continue  # what becomes of sound is not the page's to say
        expected = {State.KEPT: "kept", State.TO_COMPUTE: "to compute"}.get(state, f"{stage}/{decided.rule[row]}")
        assert found == expected


def test_numbers_on_the_page_are_the_stored_ones(run: str) -> None:
    table = RunDirectory(run).index(["quality_score"])
    assert data_of(run)["scores"]["quality_score"] == table["quality_score"].to_pylist()


def test_a_chart_for_every_threshold_that_something_was_held_against(run: str) -> None:
    charts = {f"{chart['stage']}.{chart['setting']}": chart for chart in data_of(run)["charts"]}
    assert charts["quality.min_score"]["threshold"] == 50.0
    assert charts["consistency.max_missed_people"]["whole"]
    assert {
        "faces.min_presence",
        "subtitles.min_width",
        "defects.max_poor_image",
        "resolution.min_fps",
    } <= charts.keys()
    assert not any(name.startswith(("sync.", "format.")) for name in charts)
    sound = {chart["setting"] for chart in data_of(run)["sound"]}
    assert {"silence_db", "min_speech_fraction", "max_chance_agreement"} <= sound


def test_the_page_holds_them_and_says_how_to_decide(scored: Page, run: str) -> None:
    assert "Drag a threshold" in scored.text
    assert f"python -m curation decide --run {run}" in scored.raw["script"]
    assert "a random draw" not in scored.text


def test_of_a_large_run_the_page_holds_a_draw(run: str) -> None:
    page = report(run, num_scored=50)
    assert "a random draw of 50 of" in page.text
    assert len(json.loads(scores_data(RunDirectory(run), max_rows=50, seed=0))["last"]) == 50


def test_a_run_from_before_says_why_there_are_none(tmp_path: Path) -> None:
    write_run(str(tmp_path), sources())
    page = report(tmp_path)
    assert not page.all("input")
    assert "does not say by which settings its clips were decided" in page.text
