"""The pages from own videos to a served model, worked through in their order as they stand, in one copy of the
repository: minutes of a machine with two cores."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import av
import pytest

from tests.paths import ROOT
from tests.worlds.sample_videos import make_videos
from tests.worlds.tutorial import Checkout

VIDEOS = frozenset({"talking_portrait.mp4", "talking_pan.mp4", "talking_zoom.mkv", "two_people.mp4", "below_480p.mp4"})
SERVER = "make serve"
ENDING_S = 120


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_own_videos_are_curated_trained_on_distilled_and_a_model_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    make_videos(home / "videos", VIDEOS)
    monkeypatch.setenv("HOME", str(home))
    checkout = Checkout.copied(tmp_path / "soul")
    _trust_the_environment(checkout)
    for page in ("curate-your-videos", "train", "distil"):
        checkout.follow(ROOT / "docs" / f"{page}.md")
    assert SERVER in (ROOT / "docs" / "serve.md").read_text().splitlines()
    with subprocess.Popen(SERVER.split(), cwd=checkout.root, start_new_session=True) as server:
        try:
            checkout.follow(ROOT / "docs" / "serve.md")
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(ENDING_S)
    for name in ("runs/local/talks.mp4", "video.mp4", "streamed.mp4"):
        with av.open(str(checkout.root / name)) as video:
            assert video.streams.audio
            assert sum(1 for _ in video.decode(video=0)) > 25
    shutil.rmtree(checkout.root)


def _trust_the_environment(checkout: Checkout) -> None:
    """The environment is that of this process; what it is made from is as old as can be, so that make is content."""
    for file in (checkout.root / "pyproject.toml", *(checkout.root / "infra" / "environments").iterdir()):
        os.utime(file, (0, 0))
