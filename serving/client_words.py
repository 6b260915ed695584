"""Messages for people at a command line, turned into those for clients over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def in_clients_words(message: str, names: Mapping[Path, str] | None = None) -> str:
    """Options become fields, and files get the names that clients know: no path of this machine shows.

    Args:
        message: what people would be told.
        names: of files in it.
    """
    for path, name in (names or {}).items():
        message = message.replace(str(path), name)
    return re.sub(r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_"), message)
