"""The installed command `soul`: every command of the parts under one name, and what people get for mistakes."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib

import pytest

from infra import soul
from tests.paths import ROOT


@pytest.mark.parametrize("word", soul.ENTRIES)
def test_every_command_explains_itself_under_its_own_name(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        soul.main([word, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: soul {word} ")


def test_every_command_of_the_parts_is_there() -> None:
    reached = {(entry.part, entry.name) for entry in soul.ENTRIES.values()}
    for part in ("curation", "training", "model", "serving"):
        names = importlib.import_module(f"{part}.__main__").COMMANDS
        assert {(part, name) for name in names} <= reached
    assert ("bench", None) in reached


def test_help_lists_the_commands_in_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert soul.main(["--help"]) == 0
    listed = capsys.readouterr().out
    order = [listed.index(f"\n  {word} ") for word in ("curate", "encode", "codebook", "train", "generate", "bench")]
    assert order == sorted(order)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert soul.main(["--version"]) == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"soul {project['version']}\n"
    assert project["scripts"]["soul"] == "infra.soul:main"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a command first: plan, curate"),
        (["tarin"], "no command 'tarin', did you mean 'train'?; see soul --help"),
        (["--stage", "720p"], "give a command first"),
        (["train", "--stage", "710p"], "did you mean '720p'?"),
        (["curate", "/nowhere", "--profile", "lokal"], "no profile 'lokal'"),
        (["generate", "--model", "tiny"], "--model tiny brings no portrait and speech: give --image and --audio"),
        (["bench", "evalute"], "no command 'evalute', did you mean 'evaluate'?"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert soul.main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("soul: ")
    assert errors.count("\n") == 1
    assert message in errors


def test_it_runs_as_a_module_and_loads_no_part_for_its_own_help() -> None:
    check = "import sys, infra.soul as s; s.main(['--help']); sys.exit(bool({'curation', 'model'} & set(sys.modules)))"
    for words in (["-m", "infra.soul", "--help"], ["-c", check]):
        made = subprocess.run([sys.executable, *words], cwd=ROOT, check=False, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith("usage: soul COMMAND")
