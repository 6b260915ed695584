"""Errors that are the machine's fault and not the data's: another try may succeed."""

from __future__ import annotations

import errno
from typing import Final

import cv2

OF_THE_MACHINE: Final = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "no space left",
    errno.ENOMEM: "no memory",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EIO: "the disk failed",
    errno.ESTALE: "the file system went away",
    errno.ENOTCONN: "the file system went away",
    errno.ETIMEDOUT: "the file system did not answer",
}
"""Error number of the operating system that another try may not meet → a short description."""


class MachineFaultError(Exception):
    """A machine or a server that a unit needs cannot go on: the unit is not judged and stays to be done."""


def machine_fault(error: Exception) -> str | None:
    """What was wrong with the machine, short and countable; None where the machine is not at fault."""
    if isinstance(error, MachineFaultError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is torch's
        return "no memory"
    if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
        return "no memory"
    return OF_THE_MACHINE.get(error.errno or 0) if isinstance(error, OSError) else None
