"""A whole run with the production backend of every stage, which loses a server and an actor on its way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from curation.shards.run_directory import RunDirectory
from tests.paths import ROOT
from tests.worlds.sample_videos import make_videos
from tests.worlds.served_vllm import CAPTIONS, Served, children, serve_models
from tests.worlds.waiting import until

VIDEOS = frozenset({"talking_portrait.mp4", "two_people.mp4", "cut_montage.mp4"})
BACKENDS = {
    "scenes": "dinov2",
    "split": "retinaface",
    "quality": "finevq",
    "subtitles": "paddleocr",
    "defects": "measured+qwen_vl",
    "pose": "rtmo",
    "motion": "features",
    "sync": "syncnet+silero",
    "caption": "qwen_vl",
    "consistency": "qwen_vl",
}
"""What the production profile puts in each stage."""
ASKED = "POST /v1/chat/completions"
"""In vLLM's log, for each question."""


@pytest.fixture(scope="module")
def finevq_server(
    environment: Callable[[str], Path], tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    environment("finevq")
    fields = {"weights": str(tiny_model("finevq")), "code": str(Path(os.environ["SOUL_FINEVQ"]).resolve())}
    with serve_models(tmp_path_factory.mktemp("finevq"), {"finevq": {"finevq": fields}}) as served:
        yield served


@pytest.fixture(scope="module")
def profile(
    tiny_model: Callable[[str], Path],
    finevq_server: Served,
    vllm_servers: Served,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """`production-tiny` with these models and servers."""
    claims = f"{vllm_servers.urls['defects']}/v1"
    models: dict[str, dict[str, Any]] = {
        "dinov2": {"weights": str(tiny_model("dinov2"))},
        "retinaface": {"weights": str(tiny_model("retinaface"))},
        "paddleocr": {"directory": str(tiny_model("paddle_text"))},
        "rtmo": {"weights": str(tiny_model("rtmo"))},
        "syncnet": {"weights": str(tiny_model("syncnet"))},
        "finevq": {"url": finevq_server.urls["finevq"]},
        "captions": {"url": f"{vllm_servers.urls['captions']}/v1"},
        "defects": {"url": claims},
        "claims": {"url": claims},
    }
    path = tmp_path_factory.mktemp("profile") / "whole.yaml"
    path.write_text(yaml.safe_dump({"extends": "production-tiny", "curation": {"models": models}}))
    return path


def started(bucket: Path, run: Path, profile: Path, said: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "curation", "run", str(bucket), "--run", str(run), "--profile", str(profile)]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    with said.open("wb") as sink:
        return subprocess.Popen(words, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT, env=environment)


def kill_actor(run: subprocess.Popen[bytes], pool: str) -> None:
    victims = [pid for pid, called in children(run.pid) if called.startswith("ray::") and f"curation/{pool}" in called]
    assert victims, f"no actor of the pool {pool}: {children(run.pid)}"
    psutil.Process(victims[0]).kill()


def sample_jsons(run: Path) -> Iterator[dict[str, Any]]:
    """What the shards say of each kept clip."""
    for shard in (run / "shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield json.load(file)


@pytest.mark.timeout(2400)
def test_all_sources_are_decided_by_the_papers_models_whatever_dies(
    vllm_servers: Served, profile: Path, tmp_path: Path
) -> None:
    bucket, directory, said = tmp_path / "bucket", tmp_path / "run", tmp_path / "said.txt"
    make_videos(bucket, VIDEOS)
    asked = vllm_servers.logs / "captions.log"
    before = asked.read_text(errors="replace").count(ASKED)
    run = started(bucket, directory, profile, said)
    try:
        until(
            lambda: asked.read_text(errors="replace").count(ASKED) > before + 2 or run.poll() is not None,
            patience_s=900,
        )
        assert run.poll() is None, said.read_text()
        vllm_servers.kill("qwen3_vl")
        until(lambda: "captions was killed by SIGKILL and is started again" in vllm_servers.said.read_text())
        # Its clips wait for the server.
        kill_actor(run, "describe")
        assert run.wait(timeout=1200) == 0, said.read_text()
    finally:
        run.kill()
        run.wait()
    assert vllm_servers.said.read_text().count("captions answers") == 2

    rows = RunDirectory(str(directory)).index().to_pylist()
    assert {Path(row["source"]).name for row in rows} == VIDEOS
    assert not [row["reject_rule"] for row in rows if row["reject_stage"] == "job"]
    for row in rows:
        assert json.loads(row["backends"]) == BACKENDS
    kept = [row for row in rows if row["kept"]]
    assert kept, [(row["key"], row["reject_stage"], row["reject_rule"]) for row in rows]
    assert all(row["caption_brief"] for row in kept)
    samples = list(sample_jsons(directory))
    assert {sample["key"] for sample in samples} == {row["key"] for row in kept}
    for sample in samples:
        assert {reply["model"] for reply in sample["replies"]} == {CAPTIONS}
        assert sample["caption"]["brief"]
