"""Pages that people fill in and hand back as a file: what they share."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).parent / "form.css"
SCRIPT = Path(__file__).parent / "form.js"
"""Goes before a page's own script: `data`, `at`, `stored`, `keep`, `download`, `playedShare`."""
