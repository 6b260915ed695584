"""Fixtures of the tests with real libraries: environments and tiny models, or a skip that names what is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from curation.tiny_models.make import Wish, make_tiny_models
from infra.config import ConfigError
from infra.jobs.environments import environment_python


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are run by `make test-production` alone."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.production)


@pytest.fixture(scope="session")
def environment() -> Callable[[str], Path]:
    """The Python of an environment by its name; the test skips where it is not built."""

    def find(name: str) -> Path:
        try:
            return environment_python(name)
        except ConfigError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, environment: Callable[[str], Path]) -> Callable[[str], Path]:
    """A tiny model by its name in `curation.tiny_models.make.MODELS`, made when it is first asked for.

    SOUL_FINEVQ is the directory of FineVQ's own code. RetinaFace's weights are the real ones of SOUL_SHARED.
    """
    out = tmp_path_factory.mktemp("models")
    real_faces = Path(os.environ.get("SOUL_SHARED", "../shared")).resolve() / "weights" / "retinaface_mobilenet0.25.pth"
    finevq = os.environ.get("SOUL_FINEVQ")

    @cache
    def make(name: str) -> Path:
        if name == "paddle_text":
            environment("paddle")
        if name == "retinaface" and not real_faces.is_file():
            pytest.skip("no real RetinaFace weights: set SOUL_SHARED")
        if name == "finevq":
            environment("finevq")
            if finevq is None:
                pytest.skip("no FineVQ code: set SOUL_FINEVQ to the directory of its repository")
        wish = Wish(out=out, only=(name,), retinaface=real_faces, finevq_code=None if finevq is None else Path(finevq))
        ((_, path),) = make_tiny_models(wish)
        return path

    return make
