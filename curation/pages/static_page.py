"""Pages of one HTML file: their own template, the project's style, and one script, the only one that may run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

HERE: Final = Path(__file__).parent
STYLE: Final = HERE / "look.css"
"""The look that all pages share."""
CONTROLS: Final = HERE / "controls.css"
"""That of the buttons and fields of pages that are worked with."""
ELEMENTS: Final = HERE / "elements.js"
"""Makes elements and words out of values; a script that uses it comes behind it."""


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


def embedded(data: Any) -> Markup:
    """Data as JSON inside an element of a page: a text that holds a closing tag must not end the element."""
    return Markup(json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))
