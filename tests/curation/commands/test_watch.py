"""The command: what it refuses, what it prints, and how a session of it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from curation.__main__ import main
from tests.worlds.browsed import ask
from tests.worlds.fresh_process import FreshPython
from tests.worlds.waiting import until
from tests.worlds.watched import keep, status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "/nowhere", "--json"], "/nowhere is not a run directory"),
        (["--run", "FILE"], "is not a run directory"),
        (["--run", "FILE", "--json"], "is not a run directory"),
        (["--run", "RUN", "--port", "70000"], "'70000' is not a port"),
        (["--run", "RUN", "--host", "256.1.1.1"], "cannot listen on 256.1.1.1"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    places = {"RUN": str(tmp_path), "FILE": str(tmp_path / "file")}
    assert main(["watch", *(places.get(word, word) for word in arguments)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("soul: ")
    assert message in said


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert main(["watch", "--run", str(tmp_path), "--port", str(other.getsockname()[1])]) == 2
    assert "give another --port or --host" in capsys.readouterr().err


def test_the_statuses_are_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--run", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
    document = status(oldest="caf\udce9")
    keep(tmp_path, document)
    keep(tmp_path / "decisions" / "strict", status(ended=""))
    assert main(["watch", "--run", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"curation", "decisions/strict/curation"}
    assert told["curation"] == document


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_session_waits_for_a_run_shows_it_and_ends(tmp_path: Path, ending: signal.Signals, code: int) -> None:
    run = tmp_path / "not" / "yet"
    process = FreshPython("-m", "curation", "watch", "--run", str(run), "--port", "0")
    try:
        address = until(lambda: re.search(r"watch  (http://127\.0\.0\.1:\d+)/", process.stderr), patience_s=300)[1]
        assert f"nothing has run in {run} yet" in process.stderr
        assert ask(address, "api/status").json["jobs"] == []
        assert not run.exists()
        keep(run, status())
        shown = until(lambda: ask(address, "api/status").json["shown"], patience_s=60)
        assert shown["state"] == "running"
        os.kill(process.pid, ending)
        assert process.wait(60) == code
        assert process.stderr.endswith("soul: interrupted; the page is closed\n")
    finally:
        process.kill()
