"""Who may import whom: each part stands on those below it (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = ("curation", "model", "training", "bench", "infra", "tests")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "curation": ("curation", "model"),
    "training": (
        *("training", "model", "curation.schema", "curation.config", "curation.storage"),
        *("curation.commits", "curation.encoded", "curation.cluster", "curation.command_line"),
    ),
    "bench": ("bench", "model", "curation", "training"),
    "infra": ("infra",),
}
"""Top-level folders: what their files may import of ours."""

ONLY_ENCODE = "curation/encode/"
"""The one place in curation that may use the model."""

FLOORS = (
    (
        *("curation.config", "curation.caption", "curation.observations", "curation.default_run"),
        *("curation.command_line", "curation.terminal"),
    ),
    ("curation.schema",),
    ("curation.media", "curation.stage", "curation.storage", "curation.broom"),
    ("curation.motion", "curation.crop", "curation.claims"),
    ("curation.backends",),
    ("curation.stages",),
    ("curation.records", "curation.commits"),
    ("curation.shards", "curation.sources", "curation.encoded", "curation.headers", "curation.fetching"),
    ("curation.inputs", "curation.sample_run"),
    ("curation.planning", "curation.placement", "curation.runner", "curation.cluster"),
    ("curation.telemetry",),
    ("curation.watch",),
    ("curation.engine", "curation.clip_table", "curation.pipeline", "curation.methods"),
    ("curation.curate", "curation.console"),
    ("curation.encode",),
    ("curation.report", "curation.summary", "curation.show", "curation.extract", "curation.sample"),
    ("curation.prepare", "curation.estimate", "curation.curating"),
    ("curation.commands",),
    ("curation.__main__",),
)
"""Curation from the ground up: a file imports its own floor or those below."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folders_import_only_what_stands_below_them(folder: str) -> None:
    wrong = []
    for path in sources(folder):
        relative = path.relative_to(ROOT).as_posix()
        for name in imports(path):
            if name.split(".")[0] not in TOP:
                continue
            allowed = any(name == prefix or name.startswith(prefix + ".") for prefix in MAY_IMPORT[folder])
            if folder == "curation" and name.split(".")[0] == "model":
                allowed = relative.startswith(ONLY_ENCODE)
            if not allowed:
                wrong.append(f"{relative} imports {name}")
    assert not wrong


def floor(name: str) -> int | None:
    for level, prefixes in enumerate(FLOORS):
        if any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes):
            return level
    return None


def test_curation_is_built_from_the_ground_up() -> None:
    wrong = []
    for path in sources("curation"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        mine = floor(module)
        if module == "curation.__init__":
            continue
        assert mine is not None, f"{module} has no floor: add it to FLOORS"
        for name in imports(path):
            other = floor(name)
            if other is not None and other > mine:
                wrong.append(f"{module} imports {name} from above")
    assert not wrong
