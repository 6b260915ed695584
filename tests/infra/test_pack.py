"""Packing offline, with wheels made on the spot."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from infra.pack import main
from tests.paths import ROOT

PINS = "# versions\n--only-binary=:all:\nstand-in==1.0\nleaf==2.0\nunused==3.0\n"


def wheel(folder: Path, name: str, version: str, *needs: str, size: int = 0) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n#" + "x" * size)
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pip finds all that there is."""
    links = tmp_path / "links"
    links.mkdir()
    needs = ("leaf>=1", "there", 'old; python_version < "3.12"', 'dear; extra == "all"')
    wheel(links, "stand_in", "1.0", *needs, size=100_000)
    wheel(links, "leaf", "2.0")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(links), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    (tmp_path / "pins.txt").write_text(PINS)
    return tmp_path


def packed(folder: Path, *more: str, needs: str = "Stand_In", have: str = "there,torch") -> int:
    words = ["--out", str(folder / "soul.tar"), "--pins", str(folder / "pins.txt"), "--needs", needs, "--have", have]
    return main([*words, *more])


def test_the_code_and_the_wheels_that_are_missing_make_a_check_that_runs(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packed(offline) == 0
    assert "soul.tar: there, tar xf soul.tar; sh run.sh DIR" in capsys.readouterr().out
    with tarfile.open(offline / "soul.tar") as archive:
        names = set(archive.getnames())
        archive.extractall(offline / "there", filter="data")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in names if name.startswith("wheels/")} == {
        "wheels/stand_in-1.0-py3-none-any.whl",
        "wheels/leaf-2.0-py3-none-any.whl",
    }
    assert {"bench/gpu_check/__main__.py", "infra/environments/train-cuda.txt"} <= names
    assert names - {"run.sh"} <= {*tracked, *(name for name in names if name.startswith("wheels/"))}
    run = ["sh", str(offline / "there" / "run.sh"), "figures", "--size", "huge"]
    done = subprocess.run(
        run,
        cwd=offline,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (offline / "there" / "site" / "stand_in.py").is_file()
    # It is the check itself that answers.
    assert "soul: --size: invalid choice: 'huge'" in done.stderr
    assert done.returncode == 2


def test_without_a_directory_the_script_says_what_it_needs(offline: Path) -> None:
    assert packed(offline, needs="leaf") == 0
    with tarfile.open(offline / "soul.tar") as archive:
        archive.extract("run.sh", offline, filter="data")
    done = subprocess.run(["sh", "run.sh"], cwd=offline, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "soul: give the directory for the figures: sh run.sh DIR\n")


@pytest.mark.parametrize(
    ("more", "packages", "said"),
    [
        (
            ("--limit-mb", "0.1"),
            ("stand-in", "there"),
            "more than 0.1 MB (largest: stand_in-1.0-py3-none-any.whl 0.1 MB",
        ),
        ((), ("stand-in", ""), "there: "),
        (("--python", "3.11"), ("stand-in", "there"), "old: "),
        (("--pins", "/nowhere/pins.txt"), ("stand-in", "there"), "/nowhere/pins.txt: No such file"),
        ((), ("unused", "there"), "No matching distribution found for unused==3.0"),
    ],
)
def test_what_cannot_be_packed_is_one_line_and_no_file(
    offline: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], packages: tuple[str, str], said: str
) -> None:
    needs, have = packages
    assert packed(offline, *more, needs=needs, have=have) in {1, 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(offline.glob("soul.tar*"))
