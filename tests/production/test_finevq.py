"""FineVQ's own code behind our server, with tiny random weights, in FineVQ's environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.jobs.environments import ROOT
from infra.served.endpoint import NotNowError
from infra.served.finevq import FineVqServer, NoScoreError, Sampling
from infra.servers.process import ServerProcess, free_port
from tests.worlds.drawn_scenes import landscape, panned
from tests.worlds.moving_mouth import write_video
from tests.worlds.waiting import until

SAMPLING = Sampling(motion_frames=32)


@pytest.fixture(scope="module")
def server(
    environment: Callable[[str], Path], tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FineVqServer]:
    python, weights = environment("finevq"), tiny_model("finevq")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = [str(python), "-m", "infra.servers.finevq", "--device", "cpu", "--port", str(port)]
    words += ["--code", os.environ["SOUL_FINEVQ"], "--weights", str(weights)]
    log = tmp_path_factory.mktemp("finevq") / "server.log"
    process = ServerProcess(words, log=log, variables={}, health=f"{url}/health")
    try:
        until(lambda: process.works() or not process.alive(), patience_s=300)
        assert process.alive(), process.last_words()
        yield FineVqServer(url=url, timeout_s=550)
    finally:
        process.end()


def drawn(path: Path, seed: int) -> bytes:
    return write_video(path, panned(landscape(seed), num_frames=12), None).read_bytes()


def test_a_video_has_one_score_and_others_have_others(server: FineVqServer, tmp_path: Path) -> None:
    first, other = drawn(tmp_path / "a.mp4", 1), drawn(tmp_path / "b.mp4", 2)
    with ThreadPoolExecutor(3) as clients:
        scores = list(clients.map(lambda mp4: server.score(mp4, SAMPLING, tries=1), (first, other, first)))
    assert scores[0] == pytest.approx(scores[2], abs=1e-3)
    assert abs(scores[0] - scores[1]) > 1e-2
    assert all(0 < score < 100 for score in scores)


def test_what_cannot_be_read_has_no_score_and_never_another_videos(server: FineVqServer, tmp_path: Path) -> None:
    video = drawn(tmp_path / "a.mp4", 1)
    for broken in (b"", b"not a video", video[: len(video) // 2], (ROOT / "README.md").read_bytes()):
        with pytest.raises(NoScoreError, match=r"cannot be read|no video|no frames"):
            server.score(broken, SAMPLING, tries=1)


@pytest.mark.parametrize(
    ("sampling", "told"),
    [
        (Sampling(side_px=224, motion_frames=32), "takes pictures of 448 pixels"),
        (Sampling(num_frames=16, motion_frames=32), "16 frames do not fit"),
    ],
)
def test_what_this_network_cannot_be_asked_is_refused(
    server: FineVqServer, tmp_path: Path, sampling: Sampling, told: str
) -> None:
    with pytest.raises(NotNowError, match="answered 400") as caught:
        server.score(drawn(tmp_path / "a.mp4", 1), sampling, tries=1)
    assert told in caught.value.told


def test_the_weights_have_a_name_and_a_version(server: FineVqServer) -> None:
    name, _, version = server.model().partition(" ")
    assert name
    assert len(version.strip("()")) == 12
