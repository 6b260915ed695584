"""Every name of a configuration builds its backend, and an unknown one is told the known."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from curation.backends import registry
from curation.backends.registry import Kind
from curation.pipeline import StagesConfig
from tests.paths import ROOT

KINDS = [kind for kind in vars(registry).values() if isinstance(kind, Kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.called)
def test_an_unknown_name_is_told_the_known(kind: Kind[object]) -> None:
    known = ", ".join(kind.methods)
    with pytest.raises(ValueError, match=f"^unknown {kind.called} 'psychic'; known: {known}$"):
        kind.build("psychic")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.called)
def test_a_known_name_builds_a_backend_of_its_own(kind: Kind[object]) -> None:
    for name, method in kind.methods.items():
        if not method.models:
            assert kind.build(name) is not kind.build(name)


def test_every_backend_that_a_stage_chooses_is_there() -> None:
    names = {name for kind in KINDS for name in kind.methods}
    for stage in dataclasses.fields(StagesConfig):
        config = getattr(StagesConfig(), stage.name)
        for field in dataclasses.fields(config):
            if field.name.endswith("backend") and getattr(config, field.name) is not None:
                assert getattr(config, field.name) in names


def test_nothing_heavy_is_loaded_before_it_is_chosen() -> None:
    check = "import sys, curation.backends.registry; print(*{'dlib', 'rapidocr', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
