"""A library that some files crash or hang, in a module of its own: a helper process imports nothing else for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from curation.sources.headers import header_duration


def crash_or_hang(uri: str) -> float | None:
    """Stands in for `header_duration`."""
    if Path(uri).stem == "crash":
        os.kill(os.getpid(), 9)
    if Path(uri).stem == "hang":
        time.sleep(3600)
    return header_duration(uri)
