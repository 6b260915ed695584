"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest


def until(what: Callable[[], Any], *, patience_s: float = 60.0) -> Any:
    """What it returns once it returns something true; an OSError means that it is not there yet."""
    ends_s = time.monotonic() + patience_s
    while time.monotonic() < ends_s:
        try:
            if found := what():
                return found
        except OSError:
            """Not there yet."""
        time.sleep(0.05)
    pytest.fail(f"it did not happen within {patience_s:g} s")
