"""Who hears what a worker has to tell."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest

from infra.jobs import notes


def test_a_listener_hears_lines_and_without_one_they_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    heard = list[str]()
    with notes.heard_by(heard.append):
        notes.tell("batch halved to 4")
        with suppress(ZeroDivisionError), notes.heard_by(lambda line: heard.append(f"inner {line}")):
            notes.tell("a")
            _ = 1 / 0
        notes.tell("b")
    assert heard == ["batch halved to 4", "inner a", "b"]
    notes.tell("nobody hears")
    assert capsys.readouterr().err == "soul: nobody hears\n"
    stream = io.StringIO()
    notes.tell("elsewhere", stream)
    assert stream.getvalue() == "soul: elsewhere\n"
