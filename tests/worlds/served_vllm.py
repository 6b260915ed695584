"""Servers of real models, started, watched and restarted by `python -m curation serve-models`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from infra.servers.process import free_port
from tests.paths import ROOT
from tests.worlds.waiting import until

START_S = 500.0
"""vLLM imports and compiles for a minute or two on two cores."""
CAPTIONS, CLAIMS = "tiny-qwen3-vl", "tiny-qwen2.5-vl"
"""Names under which `production-tiny` has its models served."""


@dataclass(frozen=True)
class Served:
    """The servers of a profile."""

    profile: Path
    process: subprocess.Popen[bytes]
    said: Path
    """What `serve-models` printed."""
    logs: Path
    """Folder with a log of each server."""
    urls: Mapping[str, str]
    """Address of each server by its name, without a path."""

    def kill(self, part: str) -> None:
        """SIGKILL to the server whose command line holds `part`."""
        victims = [each for each in children(self.process.pid) if part in each[1]]
        assert victims, f"no server's command line holds {part}"
        psutil.Process(victims[0][0]).kill()


def children(pid: int) -> list[tuple[int, str]]:
    """Processes below one, parents first, with what each calls itself."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            found.append((child.pid, " ".join(child.cmdline())))
        except psutil.Error:
            """It has ended meanwhile."""
    return found


def servers_profile(
    folder: Path, servers: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> tuple[Path, dict[str, str]]:
    """A profile laid over `production-tiny` with these fields of servers, each at a free port; and their addresses."""
    ports = {name: free_port() for named in servers.values() for name in named}
    ported = {
        kind: {name: {**fields, "port": ports[name]} for name, fields in named.items()}
        for kind, named in servers.items()
    }
    profile = folder / "servers.yaml"
    values = {"extends": "production-tiny", "servers": {"logs": str(folder / "logs"), **ported}}
    profile.write_text(yaml.safe_dump(values))
    return profile, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


@contextmanager
def serve_models(folder: Path, servers: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Served]:
    """Have `serve-models` keep these servers of `production-tiny`, by kind and name, with some fields of their own."""
    profile, urls = servers_profile(folder, servers)
    words = [sys.executable, "-m", "curation", "serve-models", "--profile", str(profile)]
    for name in urls:
        words += ["--only", name]
    said = folder / "serve-models.txt"
    with said.open("wb") as sink:
        process = subprocess.Popen(words, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
    try:
        until(lambda: "all servers answer" in said.read_text() or process.poll() is not None, patience_s=START_S)
        assert process.poll() is None, said.read_text()
        yield Served(profile=profile, process=process, said=said, logs=folder / "logs", urls=urls)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
