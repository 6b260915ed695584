"""What all that asks the Hugging Face Hub has in common: which Hub, and what it says in a line."""

from __future__ import annotations

import os
from typing import Final

ENDPOINT: Final = "HF_ENDPOINT"
"""Environment variable that names another Hub, as everywhere in the Hub's client."""
MOST_SAID: Final = 240
"""Letters kept of what the Hub's client says."""


def endpoint() -> str | None:
    """The Hub's address; None for the usual one."""
    return os.environ.get(ENDPOINT) or None


def said(error: Exception) -> str:
    """What an error of the Hub's client says, in one line."""
    return " ".join(str(error).split())[:MOST_SAID] or type(error).__name__


def is_ours(error: Exception) -> bool:
    """Whether an error is about a file of this machine, a full disk say: the client raises those of its libraries."""
    return isinstance(error, OSError) and error.filename is not None
