"""Lesser methods: told by what the stages' settings choose, whatever the profile is called."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.commands.methods import lesser_methods
from curation.pipeline import PLACES, CurationConfig, StagesConfig
from infra.config import ConfigError, build, load_section
from tests.worlds.videos import add_video


def test_every_backend_of_every_stage_is_known() -> None:
    stages = StagesConfig()
    found = {
        (stage.name, field.name)
        for stage in dataclasses.fields(stages)
        for field in dataclasses.fields(getattr(stages, stage.name))
        if field.name.endswith("backend")
    }
    assert {(place.stage, place.setting) for place in PLACES} == found


def test_what_stands_in_for_the_papers_model_is_named() -> None:
    named = {method.stage: method.paper for method in lesser_methods(StagesConfig())}
    assert named["scenes"] == "DINOv2"
    assert named["sync"] == "SyncNet"
    assert "motion" not in named, "the paper names no model for it"
    assert "subtitles" not in named, "RapidOCR runs the paper's"


def test_an_unknown_backend_is_refused_before_anything_is_loaded() -> None:
    stages = build(StagesConfig, {"sync": {"backend": "lipnet"}}, "test")
    with pytest.raises(ConfigError, match=r"^stages.sync: unknown sync backend 'lipnet'; known: mouth_motion"):
        lesser_methods(stages)


def test_profiles_say_what_they_want() -> None:
    assert load_section(CurationConfig, "local", "curation").requires == "any"
    assert load_section(CurationConfig, "production", "curation").requires == "paper"
    wanting = load_section(CurationConfig, "local", "curation", ["requires=paper"])
    assert wanting.hash == load_section(CurationConfig, "local", "curation").hash


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    add_video(tmp_path / "bucket", "a.mp4", size=(320, 240), seconds=0.4)
    return tmp_path / "bucket"


def test_run_refuses_what_plan_tells(bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = [str(bucket), "--run", str(run), "--set", "requires=paper"]
    assert main(["plan", *words]) == 0
    told = capsys.readouterr().out
    assert "asks for the paper's models, and 8 stages choose a lesser method" in told
    assert "  sync: mouth_motion in place of SyncNet" in told.splitlines()
    assert "refuses this without --allow-local-methods" in told

    assert main(["run", *words, "--engine", "inline"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("soul: ")
    assert printed.err.count("\n") == 1
    assert "scenes: colour_edges in place of DINOv2" in printed.err
    assert "--allow-local-methods" in printed.err
    assert [path.name for path in run.iterdir()] == ["plan"], "the headers that `plan` has read"

    assert main(["run", *words, "--engine", "inline", "--allow-local-methods"]) == 0
    assert "sync: mouth_motion in place of SyncNet" in capsys.readouterr().out
    assert list((run / "shards").glob("*.parquet"))


def test_the_local_profile_has_what_it_wants(bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(bucket), "--run", str(tmp_path / "run")]) == 0
    assert "lesser" not in capsys.readouterr().out
