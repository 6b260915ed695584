"""The page: one HTML file with its style, its script and, in an export, its data. It asks nothing of other hosts."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

import curation.report

HERE: Final = Path(__file__).parent
SCRIPTS: Final = tuple(HERE / name for name in ("state.js", "answers.js", "clip.js", "browse.js"))
"""One script, in the order in which its parts need each other; the last one ends by drawing the page."""
REPORT_STYLE: Final = Path(curation.report.__file__).parent / "report.css"
"""The look that all pages of the project share."""


def html(about: dict[str, Any], *, files: str) -> str:
    """The page.

    Args:
        about: given to the script as JSON; with `rows` and `records` in it, the page needs no server.
        files: where pictures and clips may come from, as a content security policy says it.
    """
    script = "\n".join(path.read_text() for path in SCRIPTS)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("browse.html.j2").render(
        runs=about["runs"],
        files=files,
        style=Markup(REPORT_STYLE.read_text() + (HERE / "browse.css").read_text()),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        # A caption that holds a closing tag must not end the element that the data stands in.
        about=Markup(json.dumps(about, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")),
    )
