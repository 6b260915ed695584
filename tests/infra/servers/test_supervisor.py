"""Keeping servers: real small processes that start, die, are started again, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import yaml

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.jobs import notes
from infra.servers.config import OtherServer
from infra.servers.process import free_port
from infra.servers.supervisor import Kept, Pace, keep
from infra.watched import targets_folder
from tests.paths import ROOT
from tests.worlds.waiting import until

PACE = Pace(poll_s=0.05, first_pause_s=0.05)
PATIENCE_S = 60.0


def stand_in(how: str = "", *, port: int | None = None, **fields: Any) -> OtherServer:
    program = ("{python}", "-m", "tests.infra.servers.stand_in", "{host}", "{port}", *filter(None, [how]))
    return OtherServer(program=program, port=port or free_port(), num_gpus=0, **fields)


def ask(port: int, path: str = "/health") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return dict(json.load(answer))


@pytest.fixture
def heard() -> Iterator[list[str]]:
    lines: list[str] = []
    notes.listen(lines.append)
    yield lines
    notes.listen(None)


def test_a_server_that_dies_before_it_answers_is_given_up_with_its_last_words(tmp_path: Path, heard: list[str]) -> None:
    with pytest.raises(CommandFailedError) as caught:
        keep({"captions": stand_in("dies")}, logs=tmp_path, gpus={"captions": ""}, pace=PACE)
    assert str(caught.value) == (
        f"captions ended with status 1, 3 times without one answer; the last lines of {tmp_path}/captions.log: "
        "loading the weights | no weights in models/nothing"
    )
    assert len([line for line in heard if "is started again" in line]) == 2


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path, heard: list[str]) -> None:
    server = stand_in("slow", start_timeout_s=0.3)
    with pytest.raises(CommandFailedError, match="has not answered for 0 s, 3 times"):
        keep({"slow": server}, logs=tmp_path, gpus={"slow": ""}, pace=PACE)
    # A zombie, of this test or another, has no words any more.
    words = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [each for each in words if "tests.infra.servers.stand_in" in each and str(server.port) in each]


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, heard: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        servers = {"first": stand_in(), "second": stand_in(port=port)}
        with pytest.raises(ConfigError, match=f"server 'second' cannot listen at 127.0.0.1:{port}: Address already"):
            keep(servers, logs=tmp_path, gpus=dict.fromkeys(servers, ""), pace=PACE)
    assert heard == []


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    server = OtherServer(program=("/no/such/program", "{port}"), port=free_port())
    with pytest.raises(ConfigError, match="/no/such/program does not start: No such file"):
        keep({"a": server}, logs=tmp_path, gpus={"a": ""}, pace=PACE)


class Measured(OtherServer):
    """A server that has metrics."""

    has_metrics: ClassVar[bool] = True


def checked(kept: Kept) -> bool:
    """Look at a server once; whether it answers."""
    kept.check()
    return kept.process is not None and kept.working


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]) -> Iterator[Kept]:
    monkeypatch.setenv("SOUL_MONITORING", str(tmp_path / "watch"))
    program = ("{python}", "-m", "tests.infra.servers.stand_in", "{host}", "{port}")
    server = Measured(program=program, port=free_port(), num_gpus=0)
    kept = Kept("captions", server, log=tmp_path / "captions.log", gpus="", pace=PACE)
    try:
        until(lambda: checked(kept))
        yield kept
    finally:
        kept.end()


def announcements() -> list[Path]:
    return list(targets_folder().glob("soul-models-*.json"))


def kill(kept: Kept) -> None:
    assert kept.process is not None
    kept.process.process.kill()
    kept.process.process.wait()
    kept.check()
    assert kept.process is None


def test_a_server_is_looked_for_while_it_is_dead_and_no_longer_at_its_end(measured: Kept) -> None:
    (announcement,) = announcements()
    kill(measured)
    assert announcements() == [announcement]
    until(lambda: checked(measured))
    assert announcements() == [announcement]
    measured.end()
    assert not announcements()


def test_a_server_that_is_given_up_is_looked_for_after_the_end(measured: Kept) -> None:
    measured.words = [*measured.words, "dies"]
    kill(measured)
    with pytest.raises(CommandFailedError, match="3 times without one answer"):
        until(lambda: checked(measured))
    measured.end()
    assert len(announcements()) == 1


@pytest.fixture
def profile(tmp_path: Path) -> tuple[Path, int, int]:
    """A profile of two servers: one with a child in a group of its own, and a plain one."""
    ports = free_port(), free_port()
    words = ["{python}", "-m", "tests.infra.servers.stand_in", "{host}", "{port}"]
    section = {
        "logs": str(tmp_path / "logs"),
        "other": {
            "family": {"program": [*words, "family"], "port": ports[0], "num_gpus": 1},
            "plain": {"program": words, "port": ports[1], "num_gpus": 0},
        },
    }
    path = tmp_path / "served.yaml"
    path.write_text(yaml.safe_dump({"servers": section}))
    return path, *ports


def serve_models(profile: Path, **variables: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "curation", "serve-models", "--profile", str(profile)]
    return subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": "5", **variables}
    )


def test_servers_are_kept_through_a_kill_and_leave_nothing_at_the_end(profile: tuple[Path, int, int]) -> None:
    path, family, plain = profile
    command = serve_models(path)
    try:
        assert command.stderr is not None
        lines = iter(command.stderr.readline, "")
        assert any("all servers answer" in line for line in lines)
        first = ask(family)
        assert (first["gpus"], ask(plain)["gpus"]) == ("5", "")
        os.kill(first["pid"], signal.SIGKILL)
        second = until(lambda: (found := ask(family))["pid"] != first["pid"] and found)
        until(lambda: not psutil.pid_exists(first["child"]) or psutil.Process(first["child"]).status() == "zombie")
    finally:
        command.send_signal(signal.SIGTERM)
        _, errors = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 130
    assert "family was killed by SIGKILL and is started again in 1 s; it last said: loading" in errors
    assert errors.endswith("soul: interrupted; the servers are ended\n")
    for number in (second["pid"], second["child"]):
        assert not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"
    with pytest.raises(OSError, match="refused"):
        ask(plain)


def test_servers_end_with_a_supervisor_that_is_killed(profile: tuple[Path, int, int]) -> None:
    path, _, plain = profile
    command = serve_models(path)
    try:
        found = until(lambda: ask(plain))
    finally:
        command.kill()
        command.communicate(timeout=PATIENCE_S)
    until(lambda: not psutil.pid_exists(found["pid"]) or psutil.Process(found["pid"]).status() == "zombie")


def test_mistakes_of_the_command_are_one_line(profile: tuple[Path, int, int]) -> None:
    path, _, _ = profile
    command = serve_models(path, CUDA_VISIBLE_DEVICES="")
    _, errors = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 2
    assert errors.startswith("soul: the servers family, plain want 1 GPUs, and this machine has 0")
    assert errors.count("\n") == 1
