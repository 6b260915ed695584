"""`make monitor` on this machine, with folders of its own, and questions to its Prometheus."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.servers.process import free_port
from tests.paths import ROOT
from tests.worlds.waiting import until

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus: make test-tools")


class Watch:
    """A Prometheus that records what runs here."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.began = time.time()

    def now(self, expr: str) -> list[dict[str, Any]]:
        """What it answers now: series with `metric` and `value`."""
        return list(self._ask("query", query=expr))

    def value(self, expr: str) -> float | None:
        """The one number that it answers now; None for none."""
        found = self.now(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def since_the_beginning(self, expr: str) -> list[dict[str, Any]]:
        """Series that it answers at any moment since it began: `metric` and `values`."""
        return list(self._ask("query_range", query=expr, start=f"{self.began}", end=f"{time.time()}", step="1"))

    def _ask(self, path: str, **asked: str) -> Any:
        answer = httpx2.post(f"{self.url}/api/v1/{path}", data=asked, trust_env=False, timeout=30.0).json()
        assert answer["status"] == "success", (asked, answer)
        return answer["data"]["result"]


@contextmanager
def watched_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """What runs inside is recorded, in this process and in those that it starts.

    Ray's own folder is apart too, and short: the names of its sockets must not be long.
    """
    rays = tempfile.mkdtemp(prefix="w", dir="/tmp")
    monkeypatch.setenv("SOUL_MONITORING", str(folder))
    monkeypatch.setenv("RAY_TMPDIR", rays)
    port = free_port()
    words = [sys.executable, "-m", "infra.monitoring", "run", "--port", str(port)]
    with (folder.parent / "monitor.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, env={**os.environ})
    watch = Watch(f"http://127.0.0.1:{port}")
    try:
        until(lambda: (folder / "monitor.json").exists() or process.poll() is not None)
        assert process.poll() is None, (folder.parent / "monitor.log").read_text()
        yield watch
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=60)
        shutil.rmtree(rays, ignore_errors=True)
    assert status == 130, "ctrl-C ends it, and Prometheus with it"
    assert not (folder / "monitor.json").exists()
