"""What an API server would refuse of a document, and a person would want refused: a field that nobody knows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]

SCHEMAS: Final = Path(__file__).parent / "schemas"
KUBERNETES: Final = "1.33"
"""The release of Kubernetes whose schemas hold for its own kinds."""
KEEPS_ALL: Final = "x-kubernetes-preserve-unknown-fields"


class RefusedError(Exception):
    """A document has something that is wrong, misspelled or unknown; the message says where."""


def strict(schema: Any) -> Any:
    """A schema under which no object has a field that it does not know."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: strict(each) for name, each in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
    }
    if "properties" in schema and not schema.get(KEEPS_ALL):
        made.setdefault("additionalProperties", False)
    return made


@cache
def _validator(kind: str) -> tuple[str, Any]:
    kept = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text())
    return kept["apiVersion"], jsonschema.Draft202012Validator(strict(kept["schema"]))


def is_custom(document: dict[str, Any]) -> bool:
    """Whether a document is of a kind that Kubernetes itself does not have."""
    return (SCHEMAS / f"{document['kind'].lower()}.json").exists()


def check_document(document: dict[str, Any]) -> None:
    """Check a document, with the pods that it describes.

    Raises:
        RefusedError: something is wrong, misspelled or unknown.
    """
    if is_custom(document):
        api_version, validator = _validator(document["kind"])
        if document["apiVersion"] != api_version:
            raise RefusedError(f"apiVersion is {document['apiVersion']} and not {api_version}")
        for error in validator.iter_errors(document):
            raise RefusedError(f"{document['kind']}: {error.json_path}: {error.message}")
        # Metadata is not in a definition: an API server checks it for all kinds alike.
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": document["metadata"]}
    _validate(document)


def check_pod(template: dict[str, Any]) -> None:
    """Check a pod by Kubernetes' own schema, which custom definitions repeat in part only.

    Raises:
        RefusedError: something is wrong, misspelled or unknown.
    """
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **template.get("metadata", {})}}
    _validate({**pod, "spec": template["spec"]})


def _validate(document: dict[str, Any]) -> None:
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise RefusedError(f"{document['kind']}: {error.json_path}: {error.message}") from None
