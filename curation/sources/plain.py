"""A manifest's values as plain JSON, where its format has types that JSON has not: dates, decimals, bytes, NaN."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

MAX_LEVELS: Final = 100
"""Levels of nested lists and objects; more would exhaust the stack when they are copied or written."""


def plain(value: Any, levels: int = MAX_LEVELS) -> Any:
    """The value in JSON's types.

    Dates and times are ISO 8601 text, durations are seconds. A decimal is a number where that is exact, else its digits
    as text. What is not a number (NaN, infinity) is null.

    Args:
        value: a value of the manifest.
        levels: how deeply lists and objects may be nested.

    Raises:
        ValueError: JSON has no type for it, or it is nested more deeply; the message is the end of a sentence that
            names the column.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping | list | tuple) and not levels:
        raise ValueError(f"is nested more than {MAX_LEVELS} levels deep: leave the column out")
    if isinstance(value, Mapping):
        return {_name(key): plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, levels - 1) for item in value]
    return _rare(value)


def writable(text: str) -> str:
    """Text that can be encoded: half a surrogate pair, which JSON can spell and UTF-8 cannot, is spelled out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def spelled_out(path: str) -> str:
    """A path of this machine as text: bytes of a name that are not UTF-8 become `\\xe9` and the like."""
    try:
        return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return writable(path)


def _rare(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("holds bytes that are not text: leave the column out, or name a file instead") from None
    if isinstance(value, UUID):
        return str(value)
    raise ValueError(f"holds {type(value).__name__}, which JSON does not know: leave the column out")


def _decimal(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def _name(key: Any) -> str:
    return writable(key) if isinstance(key, str) else str(plain(key))
