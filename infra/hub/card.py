"""Cards: Markdown under a header of YAML, as the Hub reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml


def render_card(template: Path, about: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """The text of a card.

    Args:
        template: of the Markdown; a value that it names and does not get is a mistake.
        about: the header; entries without a value are left out.
        values: what the template shows. Numbers are written by the filters `count` (thousands set apart) and `hours`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=False,  # it is Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": "{:,}".format, "hours": hours, "cell": cell}
    header = {name: value for name, value in about.items() if value not in (None, "", [], {})}
    text = environment.get_template(template.name).render(values)
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n{text.lstrip()}"


def hours(seconds: float) -> str:
    """A duration for people: hours, or minutes and seconds where there is less than one."""
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


def cell(text: object) -> str:
    """Text that stays in one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")
