"""`python -m training plan`: what it prints, and its status."""

import json
from pathlib import Path

import pytest

from training.__main__ import main


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    status = main(["plan", *words])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def row(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.startswith(name)).removeprefix(name).split()


def test_a_stage_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, errors = asked(capsys, "--stage", "1080p", "--gpus", "8", "--gpu-memory", "80")
    assert (status, errors) == (0, "")
    assert lines[0] == "1080p: flow_matching of soul-5b on clips of 109x1088x1920"
    assert "sequence_parallel 2 (auto: with 1 a GPU holds 89.7 GB, with 2 a GPU holds 67.8 GB" in lines[2]
    assert row(lines, "GB on each GPU") == ["backward", "step", "validation", "decoding"]
    assert row(lines, "weights ") == ["24.6"] * 4
    assert row(lines, "together")[0] == "67.8"
    assert "it fits" in next(line for line in lines if line.startswith("The peak is 67.8 GB"))
    assert any("sold with 80 GB holds 85.5 GB" in line for line in lines)
    assert row(lines, "zero_stage 2") == ["89.7", "no", "*67.8", "fits", "61.0", "fits", "61.0", "fits"]


def test_a_stage_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, errors = asked(capsys, "--stage", "1080p", "--set", "parallel.sequence_parallel=1")
    assert status == 1
    assert errors == "soul: 1080p does not fit 8 GPUs of 80 GB\n"
    assert row(lines, "zero_stage 2")[:4] == ["*89.7", "no", "67.8", "fits"]
    assert asked(capsys, "--stage", "720p", "--gpu-memory", "40")[0] == 1
    assert asked(capsys, "--stage", "720p", "--gpu-memory", "141")[0] == 0


def test_every_stage_has_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in ("720p", "1080p", "distill", "evae"):
        assert asked(capsys, "--stage", stage)[0] == 0
        assert asked(capsys, "--stage", stage, "--profile", "local", "--gpus", "1")[0] == 0


def test_the_network_of_a_directory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer/config.json").write_text(json.dumps({"num_layers": 15, "_class_name": "Soul"}))
    _, lines, _ = asked(capsys, "--stage", "720p", "--model", str(tmp_path))
    assert float(row(lines, "weights ")[0]) == pytest.approx(24.6 / 2, rel=0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpus", "0"], "--gpus and --gpu-memory are above 0"),
        (["--gpus", "24"], "batch_size 64 cannot be made of equal shares of 24 GPUs with micro_batch 3"),
        (["--set", "parallel.sequence_parallel=5"], "cannot share clips of 109x704x1280 by 5"),
        (["--clip", "7"], "--clip 7: give frames, height and width"),
        (["--model", "gone"], "gone is neither a model directory nor one of soul-5b, tiny"),
        (["--set", "encoded=480p"], "no area is known for what was encoded as '480p'"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    if "24" in words:
        words = [*words, "--set", "micro_batch=3"]
    status, _, errors = asked(capsys, "--stage", "720p", *words)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
