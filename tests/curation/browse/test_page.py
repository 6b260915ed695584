from __future__ import annotations

import re

from curation.browse.page import SCRIPTS
from tests.worlds.browsed import ask
from tests.worlds.html_page import Page, closed_page


def page_at(address: str) -> Page:
    return Page(ask(address, "").body.decode())


def test_the_page_needs_nothing_of_other_hosts_and_allows_no_other_script(address: str) -> None:
    closed_page(ask(address, "").body.decode())


def test_the_script_makes_text_of_what_a_run_says() -> None:
    script = "".join(path.read_text() for path in SCRIPTS)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_the_page_says_which_run_and_which_columns(address: str, run: str) -> None:
    html = ask(address, "").body.decode()
    assert run in page_at(address).text
    assert '"face_presence": "number"' in html
    assert '"shot_type": "text"' in html
    assert '"audio_kept": "truth"' in html
    assert '"thumbnail":' not in html
