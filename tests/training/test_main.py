"""What people get of a training's command line: one line for a mistake, from one process, and a bug's traceback."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import command_line
from infra.command_line import CommandFailedError
from infra.config import ConfigError
from tests.paths import ROOT
from training.__main__ import main


def failing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_options: object) -> None:
        raise error

    monkeypatch.setattr(command_line, "parse_command", lambda *_, **__: (run, SimpleNamespace()))


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (ConfigError("no such stage"), 2, 1),
        (CommandFailedError("it diverged"), 1, 1),
        (OSError(28, "No space left on device", "/data/x"), 1, 2),
    ],
)
def test_what_all_processes_have_met_is_said_once(
    error: Exception, status: int, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error, monkeypatch)
    monkeypatch.setattr(command_line, "SPEAKER_TIMEOUT_S", 0.0)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert main([]) == status
    assert capsys.readouterr().err.splitlines() == [f"soul: {error}"] * lines


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ValueError("too many values to unpack"), monkeypatch)
    with pytest.raises(ValueError, match="too many values"):
        main([])


LATE = """
import os, pathlib, sys, time
from training.__main__ import main

met = pathlib.Path(sys.argv.pop(1))
if os.environ["RANK"] == "0":
    while not met.exists():
        time.sleep(0.01)
else:
    import infra.command_line
    say = infra.command_line.say
    infra.command_line.say = lambda *words, **more: (met.touch(), say(*words, **more))[1]
sys.exit(main(sys.argv[1:]))
"""
"""The one that talks to people meets the mistake only after the other has."""


def test_under_torchrun_a_mistake_is_one_line_beside_its_own_report_whoever_meets_it_first(tmp_path: Path) -> None:
    late = tmp_path / "late.py"
    late.write_text(LATE)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for program, wrong in ((["--", late, tmp_path / "met"], ["--stage", "710p"]), (["-m", "--", "training"], [])):
        made = subprocess.run(
            [*launch, *program, "run", "--run", "x", *wrong],
            check=False, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert made.returncode == 1
        said = [line for line in made.stderr.splitlines() if line.startswith("soul: ")]
        assert len([line for line in said if "did you mean '720p'" in line or "--stage" in line]) == 1, made.stderr
