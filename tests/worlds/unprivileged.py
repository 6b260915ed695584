"""Running code as a user to whom permissions apply; they do not to root."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

from tests.worlds.fresh_process import FreshPython


def run_as_nobody(reach: Path, code: str) -> FreshPython:
    """Run Python code in a process without root's rights.

    Args:
        reach: a directory whose parents are opened for it to pass, up to the temporary directory.
        code: what to run.
    """
    for parent in reach.parents:
        if parent.stat().st_uid == os.getuid() and str(parent) not in ("/", "/tmp"):
            parent.chmod(parent.stat().st_mode | 0o711)
    reach.chmod(reach.stat().st_mode | 0o711)
    process = FreshPython("-c", textwrap.dedent(code), as_nobody=True)
    process.wait()
    return process
