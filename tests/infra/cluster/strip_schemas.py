"""Makes the files of `schemas/` from custom resource definitions:

  python -m tests.infra.cluster.strip_schemas DEFINITION.yaml … OUT

Kept is the schema of the newest served version, without descriptions, which are nine tenths of a definition. What a
schema allows stays the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

MAPS = ("properties", "patternProperties")
"""Keys whose value has names of a person's choice as keys: `description` may be one of them."""


def without_descriptions(schema: Any) -> Any:
    """The schema without what only people read."""
    if isinstance(schema, list):
        return [without_descriptions(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: without_descriptions(each) for name, each in value.items()}
        if key in MAPS
        else without_descriptions(value)
        for key, value in schema.items()
        if key != "description"
    }


def stripped(definition: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a custom resource definition: group, version, kind and schema."""
    spec = definition["spec"]
    (version,) = (each for each in spec["versions"] if each["storage"])
    return {
        "apiVersion": f"{spec['group']}/{version['name']}",
        "kind": spec["names"]["kind"],
        "schema": without_descriptions(version["schema"]["openAPIV3Schema"]),
    }


def main() -> None:
    """Write a file for each definition."""
    *definitions, out = sys.argv[1:]
    for path in definitions:
        kept = stripped(yaml.safe_load(Path(path).read_text()))
        Path(out, f"{kept['kind'].lower()}.json").write_text(
            json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n"
        )


if __name__ == "__main__":
    main()
