"""What the page's own scripts draw of a run in each of its states, and what of it stays while the run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from curation.watch.document import status_of
from curation.watch.statuses import Watched
from tests.worlds.watch_page import Drawn, answer_of, drawn
from tests.worlds.watched import pool, status

FULL = "the bucket is full"


def job_of(document: dict[str, Any], silent_s: float = 1.0, name: str = "curation") -> Watched:
    return Watched(id=name, status=status_of(document), silent_s=silent_s)


def page_of(document: dict[str, Any], silent_s: float = 1.0) -> Drawn:
    (page,), _, _ = drawn([answer_of([job_of(document, silent_s)])])
    return page


@pytest.mark.parametrize(
    ("known", "silent_s", "told"),
    [
        ({}, 2.0, "Running · curation"),
        ({"units": {"waiting": 200}, "history": [], "progress": {}}, 2.0, "Its workers are starting"),
        ({"ending": FULL}, 2.0, f"Ending · curationIt begins nothing more: {FULL}. What is in work is committed; the"),
        ({}, 600.0, "No sign of life for 10 min · curationThe run has told nothing since"),
        ({"ended": ""}, 9999.0, "Done · curation"),
        ({"ended": "SIGTERM"}, 9999.0, "Broken off · curationIt ended early: SIGTERM. The same command goes on"),
    ],
)
def test_every_state_is_drawn_and_told(known: dict[str, Any], silent_s: float, told: str) -> None:
    page = page_of(status(**known), silent_s)
    assert page.text("state").startswith(told)
    assert "units" in page.text("progress")
    assert page.text("tiles")
    assert "python -m curation browse --run /run" in page.text("more")


def test_what_cannot_be_read_and_what_has_not_begun_is_told() -> None:
    odd = Watched(id="other", status=None, problem="job: Field required")
    pages, _, _ = drawn([answer_of([odd]), answer_of([])])
    assert "Another version may have written its file: job: Field required." in pages[0].text("state")
    assert pages[1].text("state").startswith("Nothing has run here yet")
    assert pages[1].title == "Run: made"


def test_a_run_that_is_ending_tells_no_time_left() -> None:
    running, ending = page_of(status()), page_of(status(ending=FULL))
    assert "min left" in running.text("progress")
    assert "left to the next run" in ending.text("progress")
    assert "min left" not in ending.text("progress")
    assert "too little is known" not in ending.text("progress")
    assert "longest in workstart" not in ending.text("more")
    assert "last unit ended5 s ago" in ending.text("more")


def test_a_run_of_which_nothing_was_lost_shows_no_losses() -> None:
    lost = dict.fromkeys(("worker died", "node left", "no memory", "writer died", "data gone"), 0)
    assert "had to begin anew" not in page_of(status(lost=lost)).text("problems")
    problems = page_of(status(lost=lost | {"node left": 2})).text("problems")
    assert "had to begin anew" in problems
    assert "node left2" in problems
    assert "worker died" not in problems


def test_bytes_are_told_once_there_is_a_shard() -> None:
    document = status()
    assert "123 MBin 10 shards" in page_of(document).text("tiles")
    document["progress"] |= {"commits": 0, "num_bytes": 0}
    assert "shard" not in page_of(document).text("tiles")


def test_crops_are_told_at_the_stage_that_makes_them() -> None:
    assert "cropped out" not in page_of(status()).text("funnel")
    document = status(pools=[pool("cpu", ["format", "split", "pose"]), pool("commit")])
    document["progress"] |= {"clips": 211, "kept": 170, "crops": 20, "rejected": {"split/no_people": 40, "pose/cut": 1}}
    told = page_of(document).text("funnel")
    assert "pose+20 −1 → 170cropped out 20" in told
    assert "kept17081 %" in told, "of all 211 clips"


def test_what_has_not_changed_stays_in_the_page_while_the_run_goes_on() -> None:
    later = status()
    later |= {"began": later["began"], "now": later["now"] + 2, "idle_s": 6.0, "oldest_s": 35.0}
    later["units"] |= {"waiting": 109, "in_work": 6}
    earlier = {**later, "now": later["now"] - 2, "idle_s": 4.0, "oldest_s": 33.0}
    earlier["units"] = {**later["units"], "waiting": 110, "in_work": 5}
    (before, after), _, _ = drawn([answer_of([job_of(earlier)]), answer_of([job_of(later)])])
    assert "long-0007 for 34 s" in before.text("more")
    assert "long-0007 for 36 s" in after.text("more")
    assert "109 not begun" in after.text("progress")
    commands = before.nodes("more", "code")
    assert {"long-0007", "abc123", "python -m curation browse --run /run"} <= commands.keys()
    assert after.nodes("more", "code") == commands
    # What is read out to people, and the tables of problems, are not touched at all.
    for part in ("state", "problems"):
        assert after.changes(part) == before.changes(part) > 0


def test_the_buttons_of_the_jobs_tell_their_state_and_choose_the_job_that_they_name() -> None:
    done = job_of(status(ended=""), name="encode-720p")
    both = [answer_of([job_of(status()), done]), answer_of([done, job_of(status(ending=FULL))])]
    (before, after), _, address = drawn(both)
    assert before.text("jobs") == "curation running, 42 %encode-720p done"
    assert after.text("jobs") == "encode-720p donecuration ending, 42 %"
    assert address == "api/status?job=encode-720p"


def test_times_are_put_into_words() -> None:
    known = {
        0.2: "1 s", 59.6: "60 s", 89.4: "89 s", 91: "2 min", 5369: "89 min", 5399: "1 h 30 min", 7185: "2 h 0 min",
        7230: "2 h 1 min", 172_790: "2.0 days", 216_000: "2.5 days",
    }  # fmt: skip
    _, words, _ = drawn([answer_of([])], list(known))
    assert words == list(known.values())
