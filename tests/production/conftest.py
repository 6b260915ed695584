"""Fixtures of the tests with real libraries: environments and tiny models, or a skip that names what is not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from curation.clip.schema import Clip
from curation.tiny_models.make import Wish, make_tiny_models
from infra.config import ConfigError
from infra.jobs.environments import environment_python
from tests.worlds.clip_from_video import clip_from_video
from tests.worlds.served_vllm import Served, serve_models

SHARED = Path(os.environ.get("SOUL_SHARED", "../shared")).resolve()


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
    real_faces = SHARED / "weights" / "retinaface_mobilenet0.25.pth"
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


@pytest.fixture(scope="session")
def vllm_servers(
    environment: Callable[[str], Path], tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Real vLLM with a tiny Qwen3-VL for captions, and with a tiny Qwen2.5-VL for defects, which judges claims too."""
    environment("vllm")
    models = {
        "captions": {"model": str(tiny_model("qwen3_vl"))},
        "defects": {"model": str(tiny_model("qwen2_5_vl"))},
    }
    with serve_models(tmp_path_factory.mktemp("vllm"), {"vllm": models}) as served:
        yield served


@pytest.fixture(scope="session")
def talking(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Two videos of people who talk to the camera: real ones, or of the sample bucket without SOUL_SHARED."""
    videos = SHARED / "clips" / "video"
    if videos.is_dir():
        return videos / "liveportrait-d18.mp4", videos / "video-retalking-5.mp4"
    sample = request.getfixturevalue("sample")
    return sample("exactly_480p.mp4"), sample("silent.mp4")


@pytest.fixture(scope="session")
def clips(talking: tuple[Path, Path]) -> tuple[Clip, Clip]:
    """The first seconds of each, with seven keyframes."""
    first, second = (clip_from_video(str(path), 0.0, 3.2) for path in talking)
    return first, second
