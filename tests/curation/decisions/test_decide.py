"""Deciding an index again gives what a run by the same thresholds gives, wherever nothing has to be computed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.decisions.applying import units_to_compute, write_version
from curation.decisions.decide import Decided, columns_needed, decide_again
from curation.decisions.steps import steps, thresholds
from curation.pipeline import CurationConfig, StagesConfig
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State, Version
from tests.worlds.decided_again import compare, outcome, outcomes, rows_of
from tests.worlds.scripted_curation import BASE, config_with, scripted_run, source_of

NUM_SOURCES = 120

OTHER: dict[str, tuple[Any, ...]] = {
    "stages.format.take_hdr": (True,),
    "stages.format.take_interlaced": (False,),
    "stages.resolution.short_edge_above_px": (399, 600),
    "stages.resolution.min_fps": (5.0, 20.0),
    "stages.scenes.max_combed_share": (0.001, 0.01),
    "stages.faces.min_presence": (0.2, 0.8),
    "stages.faces.min_confidence": (0.1, 0.8),
    "stages.faces.min_height": (0.2, 0.4),
    "stages.quality.min_score": (30.0, 70.1, 90.0),
    "stages.subtitles.min_width": (0.1, 0.4),
    **{
        f"stages.defects.max_{kind}": (0.0, 1.0)
        for kind in (
            *("letterbox", "pillarbox", "blurred_fill", "logo"),
            *("poor_image", "visible_logo", "subtitles", "watermark", "split_screen", "no_recording", "effects"),
        )
    },
    "stages.defects.max_frozen_s": (0.0, 1.9),
    "stages.defects.max_still_s": (0.0, 1.5),
    "stages.defects.max_blank_s": (0.0, 1.5),
    "stages.sync.max_offset_frames": (1, 10),
    "stages.sync.min_confidence": (0.1, 0.6),
    "stages.sync.confidence_frames": (0, 400),
    "stages.sync.max_chance_agreement": (0.0, 0.5),
    "stages.sync.persistent_frames": (60, 400),
    "stages.sync.min_mouth_speed": (0.0, 0.08),
    "stages.sync.min_speech_fraction": (0.0, 0.5),
    "stages.sync.silence_db": (-90.0, -50.0),
    "stages.sync.drop_without_speech": (False,),
    "stages.consistency.min_claim_probability": (0.0, 0.5),
    "stages.consistency.still_speed_per_s": (0.001, 0.015),
    "stages.consistency.moving_speed_per_s": (0.005, 0.05),
    "stages.consistency.opposite_rate_per_s": (0.0, 0.06),
    "stages.consistency.walking_min_heads": (0.1, 2.0),
    "stages.consistency.walking_min_scale": (0.0, 0.5),
    "stages.consistency.still_travel_heads": (0.1, 1.0),
    "stages.consistency.still_scale_per_s": (0.0, 0.1),
    "stages.consistency.opposite_travel_heads": (0.1, 2.0),
    "stages.consistency.opposite_direction_per_s": (0.0, 0.1),
    "stages.consistency.opposite_scale_per_s": (0.02, 0.2),
    "stages.consistency.moved_travel_heads": (1.0, 3.0),
    "stages.consistency.min_coverage": (0.4, 0.9),
    "stages.consistency.max_missed_people": (0, 3),
    "stages.consistency.max_unseen_people": (0, 5),
    "stages.consistency.still_mouth_change": (2.0, 11.0),
}
"""Every threshold, with values on both sides of its own."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = str(tmp_path_factory.mktemp("base"))
    scripted_run(run, BASE, [source_of(number) for number in range(NUM_SOURCES)])
    return run


def decide(run: str, config: CurationConfig) -> Decided:
    return decide_again(RunDirectory(run).index(columns_needed(config.stages)), config.stages)


def test_the_world_has_clips_on_all_sides(base: str) -> None:
    rows = rows_of(RunDirectory(base)).values()
    rules = Counter(f"{row['reject_stage']}/{row['reject_rule']}" for row in rows if not row["kept"])
    asked = [(stage, rule.name) for stage, rule in all_rules(BASE.stages)]
    silent = {"consistency/more_people_than_seen", "format/interlaced", "faces/small"}
    assert {f"{stage}/{name}" for stage, name in asked} - rules.keys() <= silent
    assert sum(row["kept"] for row in rows) > 30
    assert {row["audio_reason"] for row in rows} > {"sync/silent", "sync/no_speech", "sync/offset", "sync/still_lips"}


def all_rules(config: StagesConfig) -> list[tuple[str, Any]]:
    return [(step.stage, rule) for step in steps(config) for rule in step.rules]


def test_the_same_thresholds_give_the_same_decisions(base: str) -> None:
    decided = decide(base, BASE)
    assert State.TO_COMPUTE not in decided.state
    assert outcomes(decided) == {key: outcome(row) for key, row in rows_of(RunDirectory(base)).items()}


def test_every_threshold_is_tried() -> None:
    assert thresholds(BASE.stages).keys() == OTHER.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OTHER.items() for value in values])
def test_another_threshold_decides_as_a_run_by_it_does(base: str, tmp_path: Path, name: str, value: Any) -> None:
    config = config_with(**{name: value})
    scripted_run(str(tmp_path), config, [source_of(number) for number in range(NUM_SOURCES)])
    truth = {key: outcome(row) for key, row in rows_of(RunDirectory(str(tmp_path))).items()}
    compare(decide(base, config), truth)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 12))])
def test_a_version_is_in_the_end_what_a_run_by_its_thresholds_is(base: str, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.choice(list(OTHER), size=6, replace=False)
    config = config_with(**{name: OTHER[name][rng.integers(len(OTHER[name]))] for name in names})
    whole = [source_of(number) for number in range(NUM_SOURCES)]
    truth_run = str(tmp_path / "truth")
    scripted_run(truth_run, config, whole)
    truth = rows_of(RunDirectory(truth_run))
    copy = tmp_path / "copy"
    scripted_run(str(copy), BASE, whole)

    decided = decide(str(copy), config)
    compare(decided, {key: outcome(row) for key, row in truth.items()})
    version = write_version(str(copy), "other", decided, BASE, config)
    kept_before = {key for key, row in rows_of(version).items() if row["kept"]}
    assert kept_before <= {key for key, row in truth.items() if row["kept"]}
    work = version.work()
    units = units_to_compute(version, whole)
    assert {unit.key for unit in units} == work.keys()
    scripted_run(version.run, config, units)

    done = Version(str(copy), "other")
    assert done.work() == {}
    found = rows_of(done)
    kept = {key: row for key, row in truth.items() if row["kept"]}
    assert {key for key, row in found.items() if row["kept"]} == kept.keys()
    for key, row in kept.items():
        assert outcome(found[key]) == outcome(row), key
    assert rows_of(RunDirectory(str(copy))) == rows_of(RunDirectory(base))
    for shard in done.names():
        for row in done.rows_of(shard, ["key", "kept", "audio_kept"]).to_pylist():
            files = done.sample(shard, row["key"])
            assert not row["kept"] or files.keys() == ({"mp4", "json"} | ({"wav"} if row["audio_kept"] else set()))
