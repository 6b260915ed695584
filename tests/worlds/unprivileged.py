"""Running code as a user to whom permissions apply: they do not apply to root."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.paths import ROOT

BEGUN = "the code begins"
DROP = f"""
import locale, os, sys
import curation.__main__, curation.commands.run, curation.commands.curating, curation.commands.prepare
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print({BEGUN!r}, file=sys.stderr, flush=True)
"""
"""Our code is imported before the rights are dropped, because nobody else may be allowed to read it. What libraries
print meanwhile is left out: on a busy machine, matplotlib says after five seconds that it is still looking for fonts.
"""


def run_as_nobody(reach: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process without root's rights.

    Args:
        reach: a directory that the code can reach: its parents, up to the temporary directory, are opened.
        code: what to run.
    """
    for parent in reach.parents:
        if parent.stat().st_uid == os.getuid() and str(parent) not in ("/", "/tmp"):
            parent.chmod(parent.stat().st_mode | 0o711)
    reach.chmod(reach.stat().st_mode | 0o711)
    done = subprocess.run(
        [sys.executable, "-c", DROP + textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert BEGUN in done.stderr, done.stderr
    done.stderr = done.stderr.partition(f"{BEGUN}\n")[2]
    return done
