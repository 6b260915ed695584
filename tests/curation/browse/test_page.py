from __future__ import annotations

import base64
import hashlib
import re

from curation.browse.page import SCRIPTS
from tests.worlds.browsed import ask
from tests.worlds.html_page import Page


def page_at(address: str) -> Page:
    return Page(ask(address, "").body.decode())


def test_the_page_needs_nothing_of_other_hosts_and_allows_no_other_script(address: str) -> None:
    html = ask(address, "").body.decode()
    page = page_at(address)
    policy = next(str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in policy
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    outside = re.findall(r"https?://[^\s\"']+|@import|url\(", page.raw["style"] + script[0])
    assert set(outside) == {"http://www.w3.org/2000/svg"}, "a name, not an address"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


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
