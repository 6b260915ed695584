"""The files that people hand back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

VERSION: Final = 1
"""Version of the files' format."""


def read_result(path: Path, person: str) -> dict[str, Any]:
    """A result file.

    Args:
        path: of the file.
        person: key of the name of the person who filled it in; the name must be there.

    Raises:
        ValueError: it is not one of this version, or names nobody.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"not readable as JSON ({error})") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"not a result file of version {VERSION}")
    if not isinstance(document.get(person), str) or not document[person]:
        raise ValueError(f"no {person}")
    return document


def result_files(places: Sequence[Path]) -> list[Path]:
    """The JSON files named, and those in directories named.

    Raises:
        ValueError: there are none, or a path does not exist.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise ValueError(f"no result file at {place}")
        found.extend(sorted(place.glob("*.json")) if place.is_dir() else [place])
    if not found:
        raise ValueError(f"no result files (*.json) in {', '.join(map(str, places))}")
    return found
