"""The page: one HTML file with its style, its script and, in an export, its data. It asks nothing of other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from curation.pages.static_page import CONTROLS, ELEMENTS, embedded, environment, look

HERE: Final = Path(__file__).parent
SCRIPTS: Final = (ELEMENTS, *(HERE / name for name in ("state.js", "answers.js", "clip.js", "browse.js")))
"""One script, in the order in which its parts need each other; the last one ends by drawing the page."""


def html(about: dict[str, Any], *, files: str) -> str:
    """The page.

    Args:
        about: given to the script as JSON; with `rows` and `records` in it, the page needs no server.
        files: where pictures and clips may come from, as a content security policy says it.
    """
    template = environment(HERE).get_template("browse.html.j2")
    return template.render(
        runs=about["runs"], files=files, about=embedded(about), **look([CONTROLS, HERE / "browse.css"], SCRIPTS)
    )
