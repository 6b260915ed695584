"""Who may import whom: the parts from the ground up, in each part its rooms from the ground up, and no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.paths import ROOT

PARTS: Mapping[str, tuple[str, ...]] = {
    "infra": (),
    "model": (),
    "curation": ("infra", "model"),
    "training": ("infra", "model", "curation.encoding.encoded"),
    "bench": ("infra", "model", "curation", "training"),
}
"""The parts from the ground up, each with all that it may import of the others."""


def modules() -> dict[str, Path]:
    """Every file of ours by its dotted name."""
    found = {}
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The modules of ours that one imports, late imports included."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES or node.module in MODULES:
                    yield inner if inner in MODULES else node.module


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_it_stands_on(part: str) -> None:
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        if inside(name, part)
        for other in imports(name)
        if not inside(other, part, *PARTS[part])
    ]
    assert not wrong
