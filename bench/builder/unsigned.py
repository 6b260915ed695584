"""Publishing a set on which people have not decided in full."""

from __future__ import annotations

from enum import StrEnum


class Unsigned(StrEnum):
    """What to do about samples that nobody, or not everybody, has decided on."""

    REFUSE = "refuse"
    LEAVE_OUT = "leave-out"
    INCLUDE = "include"
