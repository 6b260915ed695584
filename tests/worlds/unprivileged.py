"""Running code as a user to whom permissions apply; they do not to root."""

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
"""Our code is imported before: it may lie where nobody may look. What libraries say on the way is not ours: on a busy
machine, matplotlib tells after five seconds that it is still looking for fonts."""


def run_as_nobody(reach: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process without root's rights.

    Args:
        reach: a directory whose parents are opened for it to pass, up to the temporary directory.
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
