"""What a results file is made of, whatever its numbers are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench.studies

RESULTS = Path(bench.studies.__file__).parent / "results"


def committed(name: str) -> dict[str, Any]:
    """A results file that is kept with the code."""
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def shape(value: Any) -> Any:
    """Names and nesting: keys that are numbers count as one, elements of a list too; None stands for every value."""
    if isinstance(value, dict):
        named = {"step" if str(key).isdigit() else key: shape(each) for key, each in value.items()}
        return dict(sorted(named.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        merged: dict[str, Any] = {}
        for each in value:
            merged |= {key: inner for key, inner in shape(each).items() if inner is not None or key not in merged}
        return [dict(sorted(merged.items()))]
    return None
