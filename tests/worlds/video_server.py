"""The real server of videos on loopback, with a small model, and clients of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from infra.servers.process import free_port
from tests.paths import ROOT
from tests.worlds.pipelines import noise, picture, write_wav
from tests.worlds.waiting import until

PATIENCE_S = 240.0
ENDED = {"done", "failed", "cancelled"}


class VideoServer:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, out: Path, material: Path) -> None:
        self.process, self.url, self.out, self.material = process, url, out, material

    def client(self, key: str | None) -> Client:
        return Client(self, key)

    def record(self, video_id: str) -> dict[str, Any]:
        """What the server keeps of a request, the process that makes it included."""
        return dict(json.loads((self.out / video_id / "video.json").read_text()))

    def door(self) -> psutil.Process:
        """The process that has the queue."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return next(each for each in family if re.search(r"soul[:#]Door\b", "".join(each.cmdline()[:1])))

    def text(self, path: str) -> str:
        """What a path answers that needs no key; an OSError while nobody answers."""
        try:
            return httpx2.get(f"{self.url}{path}", trust_env=False).raise_for_status().text
        except httpx2.HTTPError as error:
            raise OSError from error

    def portrait(self) -> bytes:
        path = self.material / "portrait.png"
        if not path.exists():
            picture(96, 96).save(path)
        return path.read_bytes()

    def speech(self, seconds: float) -> bytes:
        path = self.material / f"speech-{seconds:g}.wav"
        return (path if path.exists() else write_wav(path, noise(seconds))).read_bytes()


class Client:
    """Somebody who has a key, or none."""

    def __init__(self, server: VideoServer, key: str | None) -> None:
        self.server = server
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=server.url, headers=headers, timeout=PATIENCE_S, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind that another test would wait for."""
        if self.server.process.poll() is None:
            for video in self.http.get("/v1/videos").raise_for_status().json()["videos"]:
                self.cancel(video["id"])

    def post(
        self, *, seconds: float = 0.5, image: bytes | None = None, audio: bytes | None = None, **fields: Any
    ) -> httpx2.Response:
        files = {
            "image": ("face.png", self.server.portrait() if image is None else image),
            "audio": ("speech.wav", self.server.speech(seconds) if audio is None else audio),
        }
        return self.http.post("/v1/videos", files=files, data={name: str(each) for name, each in fields.items()})

    def ask(self, **request: Any) -> str:
        """The id of a request that was accepted."""
        answer = self.post(**request)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def status(self, video_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/v1/videos/{video_id}").raise_for_status().json())

    def cancel(self, video_id: str) -> dict[str, Any]:
        return dict(self.http.delete(f"/v1/videos/{video_id}").raise_for_status().json())

    def ended(self, video_id: str) -> dict[str, Any]:
        """The status of a request that has ended."""
        return dict(until(lambda: (s := self.status(video_id))["state"] in ENDED and s, patience_s=PATIENCE_S))

    def running(self, video_id: str) -> dict[str, Any]:
        """The status of a request that is being made."""
        return dict(until(lambda: (s := self.status(video_id))["state"] == "running" and s, patience_s=PATIENCE_S))


@contextmanager
def video_server(folder: Path, model: Path | str, *options: str, keys: str = "") -> Iterator[VideoServer]:
    """Start one; it has ended, with all its processes, when the block ends."""
    port, out = free_port(), folder / "out"
    words = [sys.executable, "-m", "serving", "serve", "--model", str(model), "--port", str(port), "--out", str(out)]
    variables = {**os.environ, "SOUL_API_KEY": keys, "OMP_NUM_THREADS": "1"}
    variables.pop("RAY_ADDRESS", None)
    process = subprocess.Popen([*words, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stderr is not None
        told = list[str]()
        assert any(told.append(line) or "videos are made at" in line for line in process.stderr), "".join(told)  # type: ignore[func-returns-value]
        yield VideoServer(process, f"http://127.0.0.1:{port}", out, folder)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        _, left = psutil.wait_procs(family, timeout=10)
        for each in left:
            each.kill()
