"""One server's process: what its log says last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.servers.process import MAX_TAIL, ServerProcess
from tests.worlds.waiting import until


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[ServerProcess]:
    log = tmp_path / "speaker.log"
    log.write_text("what an earlier one said\n")
    long = "a warning without end " * 40
    os.mkfifo(tmp_path / "go")
    words = [
        "sh",
        "-c",
        f"printf 'one\\n\\ntwo\\nthree\\nfour\\n'; cat {tmp_path / 'go'}; echo '{long}'; exec sleep 60",
    ]
    process = ServerProcess(words, log=log, variables={}, health="http://127.0.0.1:9/health")
    yield process
    process.end()


def test_the_last_lines_are_told_as_one_and_cut_where_they_are_long(speaker: ServerProcess, tmp_path: Path) -> None:
    until(lambda: speaker.last_words() == "two | three | four")
    (tmp_path / "go").write_text("")
    until(lambda: "without end" in speaker.last_words(1))
    assert speaker.last_words(1).startswith("... ")
    assert speaker.last_words(1).endswith("a warning without end")
    assert len(speaker.last_words()) == len("... ") + MAX_TAIL
    assert "four" not in speaker.last_words(1)
