"""Who may import whom: the parts from the ground up, in each part its rooms from the ground up, and no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.paths import ROOT

PARTS: Mapping[str, tuple[str, ...]] = {
    "infra": (),
    "model": (),
    "model.__main__": ("infra.command_line", "model"),
    "curation": ("infra",),
    "curation.encoding": ("infra", "curation", "model"),
    "training": ("infra", "model", "curation.encoding.encoded", "curation.encoding.bucket"),
    "serving": ("infra", "model"),
    "bench": ("infra", "model", "curation"),
    "bench.gpu_check": ("infra", "model", "curation", "training", "bench"),
    "bench.speed": ("infra", "model", "curation", "training", "bench"),
    "bench.studies": ("infra", "model", "curation", "training", "bench"),
}
"""The parts, and the rooms that may do more than their part, each with all that it may import of the others."""

ROOMS: Mapping[str, str] = {
    "infra": (
        "environments config default_run command_line pack terminal bars watched storage hub jobs served servers "
        "monitoring soul"
    ),
    "model": "ahead device media codecs network weights generation pretrained cost commands __main__",
    "curation": (
        "clip rules pages media backends tiny_models sample shards compaction encoding sources planning stage runner "
        "stages pipeline decisions duplicates report browse watch push readiness job commands __main__"
    ),
    "training": (
        "data distributed monitoring objectives recipes memory initial weight_files result parts trainer stage command "
        "codebook export push negatives __main__"
    ),
    "serving": (
        "ports progress client_words fair_line limits access video shelf api_config problems fetching uploads "
        "receiving metrics maker orders replica desk counter http_api door server gallery page studio commands __main__"
    ),
    "bench": (
        "values rows pages samples weights metrics stats leaderboard human_study report evaluation "
        "generation builder efficiency speed __main__ studies gpu_check"
    ),
}
"""The folders and files at the top of each part, from the ground up: each imports itself and those before it."""


def modules() -> dict[str, Path]:
    """Every file of ours by its dotted name."""
    found = {}
    for part in ROOMS:
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


GRAPH = {name: sorted(set(imports(name))) for name in MODULES}


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def part_of(name: str) -> str:
    return max((part for part in PARTS if inside(name, part)), key=len)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_it_stands_on(part: str) -> None:
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        if part_of(name) == part
        for other in GRAPH[name]
        if not inside(other, part, *PARTS[part])
    ]
    assert not wrong


@pytest.mark.parametrize("part", ROOMS)
def test_a_room_imports_only_those_below_it(part: str) -> None:
    order = ROOMS[part].split()
    wrong = []
    for name in MODULES:
        if name == part or not inside(name, part):
            continue
        room = name.split(".")[1]
        assert room in order, f"{name} has no place: add {room} to ROOMS"
        below = [f"{part}.{each}" for each in order[: order.index(room) + 1]]
        wrong += [
            f"{name} imports {other}" for other in GRAPH[name] if inside(other, part) and not inside(other, *below)
        ]
    assert not wrong


def test_nothing_imports_in_a_circle() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
