"""A library that some files crash or hang, in a module of its own: a helper process imports nothing else for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from curation.sources.headers import Header, read_header
from curation.sources.small_reads import Sign


def crash_or_hang(uri: str, size: int | None, give_sign: Callable[[Sign], None]) -> Header:
    """Stands in for `read_header`, and writes down beside each file that is there who has read it."""
    name = Path(uri).stem
    if Path(uri).exists():
        with Path(uri).with_suffix(".read").open("a") as file:
            file.write(f"{os.getpid()}\n")
    if name == "crash":
        os.kill(os.getpid(), 9)
    if name == "store":
        give_sign(Sign.ASKS)
    if name in {"hang", "store"}:
        time.sleep(3600)
    return read_header(uri, size, give_sign)
