"""Reading a Dockerfile and a .dockerignore, as far as ours go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.paths import ROOT

DOCKERFILE = ROOT / "infra" / "images" / "Dockerfile"
DEVICES = ("cpu", "cuda")
TARGETS = ("core", "paddle", "vllm", "finevq", "train")


@dataclass(frozen=True)
class Stage:
    """One stage: what it stands on, and its instructions, each a word in capitals and the rest of its lines."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """What stands behind an instruction, wherever the stage has it."""
        return [rest for name, rest in self.instructions if name == instruction]


def stages(text: str | None = None) -> dict[str, Stage]:
    """The stages of a Dockerfile, ours by default, by name and in order."""
    lines = (DOCKERFILE.read_text() if text is None else text).splitlines()
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in lines if not line.lstrip().startswith("#")))
    found: dict[str, Stage] = {}
    for line in filter(None, joined.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = Stage(name, base)
        elif found:
            list(found.values())[-1].instructions.append((instruction, rest.strip()))
    return found


def lineage(name: str, device: str) -> list[Stage]:
    """A stage and those that it stands on, the nearest first, down to an image that is not ours."""
    every, line = stages(), list[Stage]()
    while name in every:
        line.append(every[name])
        name = filled(every[name].base, device)
    return line


def last(target: str, device: str, instruction: str) -> str:
    """What counts in the end: the last such instruction of a target, which it may have from a stage below."""
    found = [rests[-1] for stage in lineage(target, device) if (rests := stage.all(instruction))]
    return found[0]


def words(rest: str) -> list[str]:
    """The words of an instruction in exec form."""
    read = json.loads(rest)
    assert isinstance(read, list)
    assert all(isinstance(word, str) for word in read)
    return read


def variables(target: str, device: str) -> dict[str, str]:
    """The environment of a target."""
    pairs: dict[str, str] = {}
    for stage in reversed(lineage(target, device)):
        for rest in stage.all("ENV"):
            pairs |= dict(pair.split("=", 1) for pair in rest.split())
    return pairs


def copied(device: str) -> Iterator[tuple[str, str]]:
    """Every path of the build's context that is copied, with the stage that copies it."""
    for stage in stages().values():
        for rest in stage.all("COPY"):
            if not rest.startswith("--from="):
                *sources, _ = filled(rest, device).split()
                yield from ((stage.name, source) for source in sources)


def filled(text: str, device: str) -> str:
    """A text with the device in it."""
    return text.replace("${DEVICE}", device)


class Ignored:
    """What a .dockerignore keeps out: the last pattern that matches a path or a folder above it decides."""

    def __init__(self, file: Path) -> None:
        lines = (line.strip() for line in file.read_text().splitlines())
        self.patterns = [
            (_pattern(line.removeprefix("!")), not line.startswith("!"))
            for line in lines
            if line and not line.startswith("#")
        ]

    def __contains__(self, path: str) -> bool:
        """Whether a path, seen from the root of the context, is kept out."""
        parts = path.split("/")
        folders = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        ignored = False
        for pattern, ignores in self.patterns:
            if any(pattern.fullmatch(folder) for folder in folders):
                ignored = ignores
        return ignored


def _pattern(text: str) -> re.Pattern[str]:
    places = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(places.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", text)))
