"""Pages of one HTML file: their own template, the project's style, and one script, the only one that may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import curation.report

STYLE = Path(curation.report.__file__).parent / "report.css"


def environment(folder: Path) -> jinja2.Environment:
    """The templates of a folder; values are escaped, and an undefined name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def look(style: Sequence[Path], script: Sequence[Path]) -> dict[str, Any]:
    """`style`, `script` and `script_hash` of a template: files put together, after the project's own style.

    The hash is for the page's content security policy: nothing else runs, whatever the page shows.
    """
    code = "".join(path.read_text() for path in script)
    return {
        "style": Markup("".join(path.read_text() for path in (STYLE, *style))),
        "script": Markup(code),
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
    }
