"""`python -m curation encode`: what people get for right and wrong words."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.encoding.config import EncodeConfig, ModelConfig
from curation.encoding.encoded import EncodedDirectory
from infra.config import ConfigError, build
from model.pretrained.assemble import build_pipeline
from tests.worlds.curated_shards import Made, curate, flat, source_of, video


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


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """A model directory whose words mean something else."""
    pipeline = build_pipeline("tiny")
    pipeline.text_encoder.table.data += 1
    pipeline.save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def refused(run: Path, *more: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that an encoding is refused with, before Ray starts or anything is written."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    capsys.readouterr()
    assert main(["encode", "--run", str(run), "--stage", "720p", *more]) == 2
    said = capsys.readouterr()
    assert "Ray" not in said.out
    assert said.err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    return said.err


def test_the_same_model_from_elsewhere_is_no_other(run: Path, tmp_path: Path) -> None:
    build_pipeline("tiny").save_pretrained(tmp_path / "same")
    assert encode(run) == 0
    assert encode(run, "--model", str(tmp_path / "same")) == 0


@pytest.mark.parametrize("done", [True, False])
def test_another_model_is_refused_whether_or_not_something_is_to_be_done(
    run: Path, other_model: Path, capsys: pytest.CaptureFixture[str], *, done: bool
) -> None:
    assert encode(run) == 0
    if not done:
        curate(str(run), source_of("b.mp4", [Made(mp4=video(flat(70), 100), num_frames=100)]))
    line = refused(run, "--model", str(other_model), capsys=capsys)
    assert re.search(
        rf"720p was encoded otherwise: model tiny \(encoders \w+\), now {other_model} \(encoders \w+\)\.", line
    )
    assert encode(run) == 0, "and the first one goes on"


@pytest.mark.parametrize(
    ("settings", "differs"),
    [
        (["stages.720p.area=12800"], "area 28672, now 12800."),
        (["fps=24"], "fps 25, now 24."),
        (["clip_frames=89", "stages.720p.area=12800"], "area 28672, now 12800; clip frames 109, now 89."),
    ],
)
def test_another_size_is_refused_and_named(
    run: Path, settings: list[str], differs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(run) == 0
    overrides = [word for setting in settings for word in ("--set", setting)]
    assert differs in refused(run, *overrides, capsys=capsys)


def test_settings_that_may_differ_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(run) == 0
    curate(str(run), source_of("b.mp4", [Made(mp4=video(flat(70), 60), num_frames=60)]))
    capsys.readouterr()
    assert encode(run, "--set", "min_frames=33", "--set", "num_references=2") == 0
    said = capsys.readouterr().out
    assert f"note: min_frames was 81 when {run}/encoded/720p was begun and is 33 now" in said
    assert "note: num_references was 4" in said
    assert said.count("note: ") == 2


def test_the_precision_that_was_used_is_recorded_and_another_one_is_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(run, "--set", "device=cpu") == 0
    settings = EncodedDirectory(str(run / "encoded/720p")).encoding().settings
    assert (settings["dtype"], settings["vae_dtype"]) == ("float32", "float32")
    capsys.readouterr()
    assert encode(run, "--set", "device=cpu") == 0
    assert "note: " not in capsys.readouterr().out
    assert encode(run, "--set", "device=cpu", "--set", "vae_dtype=bfloat16") == 0
    assert "note: vae_dtype was float32" in capsys.readouterr().out


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
