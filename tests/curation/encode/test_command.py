"""`python -m curation encode`: what people get for right and wrong words."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.config import ConfigError, build
from curation.encode.config import EncodeConfig, ModelConfig
from model.assemble import build_pipeline
from tests.curation.encode.curated import Made, curate, flat, source_of, video


@pytest.fixture
def run(tmp_path: Path) -> Path:
    clips = [Made(mp4=video(flat(level), num), num_frames=num) for level, num in ((50, 100), (60, 20))]
    curate(str(tmp_path / "run"), source_of("a.mp4", clips))
    return tmp_path / "run"


def encode(run: Path, *more: str, stage: str = "720p") -> int:
    return main(["encode", "--run", str(run), "--stage", stage, "--engine", "inline", *more])


def test_encode_and_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(run) == 0
    printed = capsys.readouterr().out
    assert "1 curated shards: 1 to encode with 2 clips, 0 done" in printed
    assert "1 encoded; skipped: too_short 1" in printed
    assert "97x128x224" not in printed
    assert "97x128x192" in printed
    assert encode(run) == 0
    assert "0 to encode with 0 clips, 1 done" in capsys.readouterr().out
    assert (run / "encoded" / "720p" / "encoding.json").is_file()


def test_another_model_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = build_pipeline("tiny")
    pipeline.save_pretrained(tmp_path / "same")
    pipeline.text_encoder.table.data += 1
    pipeline.save_pretrained(tmp_path / "other")
    assert encode(run) == 0
    assert encode(run, "--model", str(tmp_path / "same")) == 0
    capsys.readouterr()
    assert encode(run, "--model", str(tmp_path / "other")) == 2
    assert "other settings or encoders" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "480p"], "no stage '480p' to encode for; there are 720p, 1080p"),
        (["--model", "/nowhere/model"], "/nowhere/model: no such directory"),
        (["--set", "clip_frames=100"], "clip_frames must be 4k + 1"),
        (["--set", "stages.720p.aria=5"], "unknown key 'aria', did you mean 'area'"),
        (["--set", "fpz=5"], "unknown key 'fpz', did you mean 'fps'"),
        (["--set", "device=cuda:77"], "device cuda:77"),
        (["--run", "/nowhere"], "/nowhere is not a run directory: `make curate` makes one"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(run, *arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_run_that_cannot_be_written_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "encoded").write_text("in the way")
    assert encode(run) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(r"soul: .*Not a directory: .*encoded/720p.*\n", errors)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert encode(run) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert re.fullmatch(r"soul: .*File too large.*\n", capsys.readouterr().err)
    assert encode(run) == 0
    assert "1 to encode" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either preset or directory"),
        ({"preset": "soul-5b"}, "random weights"),
        ({"preset": "a", "directory": "b"}, "either"),
    ],
)
def test_the_model_is_one_of_two(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(ModelConfig, values, "test")


def test_the_papers_stages_are_the_default() -> None:
    assert {name: target.area for name, target in EncodeConfig().stages.items()} == {
        "720p": 704 * 1280,
        "1080p": 1088 * 1920,
    }
