"""The page and what it asks for, through HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curation.pages.server import serving
from curation.watch.server import SCRIPTS, application
from curation.watch.statuses import Statuses
from infra.jobs.engine import run_inline
from tests.worlds.browsed import ask
from tests.worlds.html_page import Page, closed_page
from tests.worlds.tiny_units import TinyJob, TinyUnit
from tests.worlds.watched import keep, status

HOSTILE = "</script><img src=x onerror=alert(1)>"


@contextmanager
def watched(run: Path | str) -> Iterator[str]:
    with serving(application(Statuses(str(run)), "127.0.0.1")) as address:
        yield address


def test_before_any_run_there_is_a_page_that_waits(tmp_path: Path) -> None:
    with watched(tmp_path) as address:
        assert ask(address, "").status == 200
        assert ask(address, "api/status").json == {"jobs": [], "shown": None}


def test_a_run_is_seen_as_soon_as_it_begins_and_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.watch.statuses.LOCAL_INTERVAL_S", 0.0)
    with watched(tmp_path) as address:
        keep(tmp_path, status(job="tiny"))
        shown = ask(address, "api/status").json["shown"]
        assert (shown["state"], shown["done"], shown["planned"]) == ("running", 83, 200)
        run_inline([TinyUnit(key=f"{number:06d}") for number in range(20)], TinyJob(out=tmp_path), lambda _: None)
        shown = ask(address, "api/status").json["shown"]
        assert (shown["id"], shown["state"], shown["done"], shown["left_s"]) == ("tiny", "done", 20, None)


def test_the_job_that_is_asked_for_or_the_first(tmp_path: Path) -> None:
    now = time.time()
    keep(tmp_path, status(began=now - 5000, ended="SIGTERM"))
    keep(tmp_path / "decisions" / "strict", status(began=now - 9000, ended=""))
    keep(tmp_path, status(job="compaction", began=now - 600))
    with watched(tmp_path) as address:
        listed = ask(address, "api/status").json["jobs"]
        assert [(job["id"], job["state"]) for job in listed] == [
            ("compaction", "running"), ("curation", "broken off"), ("decisions/strict/curation", "done"),
        ]  # fmt: skip
        for wanted in ("curation", "decisions/strict/curation"):
            assert ask(address, "api/status", {"job": wanted}).json["shown"]["id"] == wanted
        for unknown in ("../../etc", ""):
            assert ask(address, "api/status", {"job": unknown}).json["shown"]["id"] == "compaction"


def test_what_something_else_wrote_does_not_hide_the_rest(tmp_path: Path) -> None:
    keep(tmp_path, status())
    keep(tmp_path, {"foreign": HOSTILE}, name="other")
    keep(tmp_path, [], name="list")
    (tmp_path / "status" / "torn.json").write_bytes(b'{"job": "\xff')
    with watched(tmp_path) as address:
        told = ask(address, "api/status").json
        assert [(job["id"], job["state"]) for job in told["jobs"]] == [
            ("curation", "running"), ("list", "unreadable"), ("other", "unreadable"),
        ]  # fmt: skip
        other = ask(address, "api/status", {"job": "other"}).json["shown"]
        assert (other["state"], other["problem"]) == ("unreadable", "job: Field required")


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    keep(tmp_path, status(oldest="caf\udce9"))
    with watched(tmp_path) as address:
        answer = ask(address, "api/status")
        assert (answer.status, answer.json["shown"]["oldest"]) == (200, "caf\udce9")


def test_a_store_that_fails_is_one_line_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OSError("the store\ndoes not answer")

    keep(tmp_path, status())
    with watched(tmp_path) as address:
        with monkeypatch.context() as patched:
            patched.setattr("curation.watch.statuses.read_documents", fail)
            answer = ask(address, "api/status")
            assert (answer.status, answer.line) == (502, "the store does not answer")
        assert ask(address, "api/status").json["shown"]["state"] == "running"


def test_only_names_of_this_machine_are_answered_to(tmp_path: Path) -> None:
    with watched(tmp_path) as address:
        assert ask(address, "api/status", Host="evil.example").status == 400
        for path in ("", "api/status"):
            answer = ask(address, path, Host="localhost:8601")
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_needs_nothing_of_other_hosts_and_allows_no_other_script(tmp_path: Path) -> None:
    with watched(tmp_path) as address:
        html = ask(address, "").body.decode()
    page = closed_page(html)
    assert not [attributes for tag, attributes in page.elements if tag in {"img", "link"} and attributes.get("src")]


def test_the_script_makes_text_of_what_a_run_says() -> None:
    script = "".join(path.read_text() for path in SCRIPTS)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_every_part_that_the_script_draws_is_in_the_page(tmp_path: Path) -> None:
    with watched(tmp_path) as address:
        page = Page(ask(address, "").body.decode())
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    script = "".join(path.read_text() for path in SCRIPTS)
    asked = set(re.findall(r'\b(?:at|put)\("([a-z-]+)"', script))
    assert {"state", "progress", "jobs", "away"} <= asked
    assert asked <= ids
    labels = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert labels <= ids
    assert {str(attributes.get("role")) for _, attributes in page.elements} >= {"status", "alert", "group"}


def test_a_run_whose_name_is_no_innocent_text(tmp_path: Path) -> None:
    run = tmp_path / HOSTILE.replace("/", "")
    run.mkdir()
    with watched(run) as address:
        page = Page(ask(address, "").body.decode())
    assert not page.all("img")
    assert str(run) in page.text
