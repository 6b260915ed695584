"""What is common to the pages that people fill in and hand back as a file."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).parent / "form.css"
SCRIPT = Path(__file__).parent / "form.js"
"""Goes before a page's own script, for which it defines `data`, `at`, `stored`, `keep`, `download`, `playedShare`."""
