"""How an unexpected exception is recorded while a video is measured.

A fault of the machine says nothing about the video: no row is written, and the next run tries again. A fault of our
code or of a library becomes a row: the exception's type and message are the reason, and its traceback goes into a log
beside the rows. In both cases the run goes on with the next metric and the next video.
"""

from __future__ import annotations

import re
import traceback
from typing import Final

from bench.metrics.metric import NoValueError, Outcome
from bench.rows import INTERNAL_ERROR, Row
from curation.media import MediaError

LOG: Final = "errors.log"
"""In the directory of rows."""
MAX_REASON: Final = 160
"""Letters of a message that a reason keeps; `detail` has all of it."""
MAX_MESSAGE: Final = 2000


def outcome_of(error: Exception, sample: str) -> Outcome:
    """The outcome for an exception: the reason of bad data, or type and message of an unexpected exception."""
    if isinstance(error, NoValueError):
        return Outcome.none(error.reason, **error.detail)
    if isinstance(error, MediaError):
        return Outcome.none(error.rule.replace("_", " "), message=error.detail)
    message = " ".join(str(error).split())
    told = f"{type(error).__name__}: {_countable(message, sample)}" if message else type(error).__name__
    if len(told) > MAX_REASON:
        told = f"{told[:MAX_REASON]}…"
    return Outcome.none(f"{INTERNAL_ERROR}: {told}", message=message[:MAX_MESSAGE], log=LOG)


def is_unexpected(error: Exception) -> bool:
    """Whether a traceback belongs in the log."""
    return not isinstance(error, (NoValueError, MediaError))


def log_entry(row: Row, error: Exception) -> str:
    """The entry for the log, ending in an empty line."""
    control = f", {row.control}" if row.control else ""
    return f"{row.method}/{row.sample}: {row.metric}{control}\n{traceback_of(error)}"


def traceback_of(error: Exception) -> str:
    """The traceback as Python prints it, ending in an empty line."""
    return "".join(traceback.format_exception(error)) + "\n"


def _countable(message: str, sample: str) -> str:
    """The message without what differs from video to video: folders, ids and memory addresses."""
    message = re.sub(r"(?<![^\s'\"(=])(?:/[^\s/'\":<>\[\]]+)+/(?=[^\s/'\":])", "", message)
    return re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", message.replace(sample, "<id>"))
