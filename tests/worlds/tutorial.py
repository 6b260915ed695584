"""Pages of `docs/` that tell a reader what to write and what to type, and a copy of the repository to do it in.

How a page says it:

- a block under a line with nothing but a path, "`curation/stages/quality.py`:", is a new file;
- a ```diff block changes files that are there, as `git apply` understands it;
- a ```sh block is typed at the root of the checkout, and succeeds;
- a ```text block shows lines that the commands before it print, in their order; `…` stands for anything, and so do more
  spaces for fewer;
- a ```console block is shown and not done: it needs what a test has not.

A page that does not hold ends with an `AssertionError` that names its line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from shutil import copyfile
from typing import Self

from tests.paths import ROOT

LARGE_BYTES = 500_000
"""Larger files are weights and pictures, which nobody changes: the copy has links to them."""
LONGEST_S = 900.0
"""Seconds that a block of commands may take, on a machine that has other things to do."""

_FENCE = re.compile(r"```(\w*)$")
_PATH = re.compile(r"`([^`\s]+)`:$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """Of the page, from 1, where the fence opens."""
    path: str | None
    """The new file that it is."""


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    inside: list[str] = []
    said = ""
    for number, line in enumerate(page.splitlines(), start=1):
        if opened is not None and line == "```":
            path = _PATH.match(said)
            text = "".join(f"{each}\n" for each in inside)
            found.append(Block(language=opened[1], text=text, line=opened[0], path=path[1] if path else None))
            opened, said = None, ""
        elif opened is not None:
            inside.append(line)
        elif fence := _FENCE.match(line):
            opened, inside = (number, fence[1]), []
        else:
            said = line or said
    assert opened is None, f"the fence of line {opened and opened[0]} is never closed"
    return found


@dataclass(slots=True)
class Checkout:
    """A copy of the repository, in which a reader works through a page."""

    root: Path
    printed: str = ""
    """What the last commands printed."""

    @classmethod
    def copied(cls, root: Path) -> Self:
        """The tracked files as they are now, with the environment of this process as `.venv`."""
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            here, there = ROOT / name, root / name
            if not here.is_file():  # removed, and not yet committed
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            if here.stat().st_size > LARGE_BYTES:
                there.symlink_to(here)
            else:
                copyfile(here, there)
        (root / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
        return cls(root)

    def follow(self, page: Path) -> list[str]:
        """Do what a page says, from its top; returns the files that it has written and changed."""
        touched: list[str] = []
        for block in blocks(page.read_text()):
            try:
                touched += self._do(block)
            except AssertionError as error:
                message = f"{page.name}:{block.line}: {error}"
                raise AssertionError(message) from None
        return list(dict.fromkeys(touched))

    def _do(self, block: Block) -> list[str]:
        if block.path is not None:
            return self._write(block.path, block.text)
        if block.language == "diff":
            return self._apply(block.text)
        if block.language == "sh":
            self.printed = self.run(block.text)
        elif block.language == "text":
            self._compare(block.text)
        else:
            assert block.language == "console", f"a block of {block.language or 'nothing'} without a path is not done"
        return []

    def _write(self, path: str, text: str) -> list[str]:
        file = self.root / path
        assert not file.exists(), f"{path} is there already: show what changes as a diff"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return [path]

    def _apply(self, diff: str) -> list[str]:
        done = subprocess.run(
            ["git", "apply", "-"], input=diff, cwd=self.root, capture_output=True, text=True, check=False,
            # In a folder of a repository, git would take the paths for that one's, and change nothing.
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(self.root.parent)},
        )  # fmt: skip
        assert done.returncode == 0, f"the change does not fit the files:\n{done.stderr}"
        return re.findall(r"^\+\+\+ b/(\S+)$", diff, re.MULTILINE)

    def run(self, commands: str) -> str:
        """Type commands at the root of the copy; returns what they print. Variables are kept, as in a terminal."""
        kept = quote(str(self.root.with_name(f"{self.root.name}.variables")))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"test ! -e {kept} || . {kept}\nset -a\n{commands}\nexport -p > {kept}"],
            cwd=self.root, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONGEST_S,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"COLUMNS": "120"},
        )  # fmt: skip
        assert done.returncode == 0, f"exit status {done.returncode} of\n{commands}\n{done.stdout}"
        return done.stdout

    def _compare(self, shown: str) -> None:
        lines = iter(_spaced_once(self.printed))
        for wanted in _spaced_once(shown):
            pattern = re.compile(".*".join(map(re.escape, wanted.split("…"))))
            assert any(pattern.fullmatch(line) for line in lines), f"not printed: {wanted}\n{self.printed}"


def _spaced_once(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
