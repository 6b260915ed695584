"""What `kubectl kustomize` makes of a folder of `infra/cluster/kubernetes/`, and a look into its pods."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import yaml

from tests.paths import ROOT

KUBERNETES: Final = ROOT / "infra" / "cluster" / "kubernetes"
OVERLAYS: Final = tuple(
    sorted(
        str(path.parent.relative_to(KUBERNETES))
        for path in KUBERNETES.glob("overlays/*/*/kustomization.yaml")
        if "kind: Kustomization" in path.read_text()
    )
)
"""What a person applies. Folders of components are parts of these."""
JOBS: Final = tuple(name for name in OVERLAYS if name.rpartition("/")[2] in {"curate", "encode", "train"})


@cache
def _rendered(folder: str) -> str:
    return subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / folder)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def rendered(folder: str) -> list[dict[str, Any]]:
    """The documents of a folder, anew for each caller."""
    return list(yaml.safe_load_all(_rendered(folder)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """A pod as a document of some kind describes it."""

    where: str
    """The document's kind and name, and the pod's place in it."""
    template: dict[str, Any]

    @property
    def spec(self) -> dict[str, Any]:
        """Of the pod."""
        found: dict[str, Any] = self.template["spec"]
        return found

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Of the pod, those that only prepare it too."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def cluster_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The description of a Ray cluster in a document; None if it has none."""
    if document["kind"] == "RayCluster":
        return dict(document["spec"])
    return document["spec"]["rayClusterSpec"] if document["kind"] == "RayJob" else None


def pods(document: dict[str, Any]) -> Iterator[Pod]:
    """All pods that a document describes."""
    name = f"{document['kind']} {document['metadata']['name']}"
    if (cluster := cluster_of(document)) is not None:
        yield Pod(where=f"{name}, head", template=cluster["headGroupSpec"]["template"])
        for group in cluster["workerGroupSpecs"]:
            yield Pod(where=f"{name}, {group['groupName']}", template=group["template"])
    if document["kind"] == "RayJob":
        yield Pod(where=f"{name}, submitter", template=document["spec"]["submitterPodTemplate"])
    if document["kind"] in {"Deployment", "Job"}:
        yield Pod(where=name, template=document["spec"]["template"])
