"""What every command line of the project does with a mistake, an end from outside and a bug."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from infra import command_line
from infra.command_line import Command, CommandFailedError, CommandLine
from infra.config import ConfigError

COMMANDS = {"go": Command(about="go on", options="tests.infra.test_command_line", run="nowhere")}


class StoppedError(CommandFailedError):
    status = 143


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=int, required=True)


def go(*, quiet: bool = False) -> CommandLine:
    return CommandLine(
        prog="soul", description="", commands=COMMANDS, interrupted="the same command goes on", quiet=lambda: quiet
    )


def ending(monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> Callable[[BaseException], int]:
    def end(error: BaseException) -> int:
        def run(_: object) -> None:
            raise error

        monkeypatch.setattr(command_line, "parse_command", lambda *_, **__: (run, SimpleNamespace()))
        return go(quiet=quiet).main(["go"])

    return end


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("no such profile"), 2, "soul: no such profile"),
        (ConfigError("two\n  lines"), 2, "soul: two lines"),
        (CommandFailedError("it broke off"), 1, "soul: it broke off"),
        (StoppedError("it has saved"), 143, "soul: it has saved"),
        (KeyboardInterrupt(), 130, "soul: interrupted; the same command goes on"),
        (ConnectionError("no cluster"), 2, "soul: no cluster"),
        (
            ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"),
            *(2, "soul: this needs torch, which curating alone does not: `make env` installs it"),
        ),
        (OSError(28, "No space left on device", "/x"), 1, "soul: [Errno 28] No space left on device: '/x'"),
    ],
)
def test_ends_have_one_line_and_a_status(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch)(error) == status
    assert capsys.readouterr().err == f"{line}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a bug"):
        ending(monkeypatch)(ValueError("a bug"))
    with pytest.raises(ModuleNotFoundError):
        ending(monkeypatch)(ModuleNotFoundError("No module named 'curation.gone'", name="curation.gone"))


def test_a_quiet_process_still_tells_what_only_it_has_met(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    end = ending(monkeypatch, quiet=True)
    assert end(ConfigError("all have met it")) == 2
    assert waited == [command_line.SPEAKER_TIMEOUT_S], "the one that talks has time for its line"
    assert end(KeyboardInterrupt()) == 130
    assert len(waited) == 1, "a signal ended all of them"
    assert capsys.readouterr().err == ""
    assert end(OSError("this disk is full")) == 1
    assert capsys.readouterr().err == "soul: this disk is full\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "soul: give a command first: go; see soul --help"),
        (["goo"], "soul: no command 'goo', did you mean 'go'? There are go; see soul --help"),
        (["--number", "3", "go"], "soul: give a command first: go; see soul --help"),
        (["go"], "soul: the following arguments are required: --number; see soul go --help"),
        (["go", "--number", "x"], "soul: --number: invalid int value: 'x'; see soul go --help"),
        (
            ["go", "--number=3", "--nubmer=4"],
            "soul: unrecognized arguments: --nubmer=4 (did you mean --number?); see soul go --help",
        ),
    ],
)
def test_what_was_typed_wrongly_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert go().main(arguments) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As with `| head`, which closes its end when it has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    for words in (["--help"], ["run", "--help"]):
        command = [sys.executable, "-m", "curation", *words]
        made = subprocess.run(command, check=False, stdout=writer, stderr=subprocess.PIPE, text=True)
        assert made.stderr == ""
        assert made.returncode in {0, 1}
    os.close(writer)
