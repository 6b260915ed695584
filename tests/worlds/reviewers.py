"""Reviewers who fill in the page of a review."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.builder.candidates import NAMES


def page_data(review: Path) -> Any:
    """The JSON block of the page, as its script reads it."""
    html = (review / "index.html").read_text()
    return json.loads(html.partition('id="data">')[2].partition("</script>")[0])


def fill_in(
    review: Path, out: Path, reviewer: str, against: Mapping[str, str] = {}, decided: str = "2026-01-01T00:00:00Z"
) -> dict[str, Any]:
    """Write the file that the page would offer: all is approved, except the check that `against` names for a sample."""
    data = page_data(review)
    assert data["checks"] == list(NAMES)
    answers = [
        {
            "sample": sample["id"],
            "content": sample["content"],
            "checks": {name: against.get(sample["id"]) != name for name in NAMES},
            "notes": "see there" if sample["id"] in against else "",
            "decided": decided,
        }
        for sample in data["samples"]
    ]
    document = {"version": 1, "form": data["form"], "reviewer": reviewer, "started": decided, "answers": answers}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document))
    return document
