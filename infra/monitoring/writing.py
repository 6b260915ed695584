"""`make dashboards`: the JSON of every board, and what the operator of a Kubernetes cluster takes of the rules."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RULES: Final = HERE / "rules"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument(
        "--out", type=Path, default=HERE, metavar="DIR", help="folder to write into (default: where they are kept)"
    )


def run(options: argparse.Namespace) -> None:
    """Write them.

    Raises:
        ConfigError: the library that draws boards is not installed.
    """
    from importlib.util import find_spec  # noqa: PLC0415 (--help needs none of this)

    from infra.config import ConfigError  # noqa: PLC0415

    if find_spec("grafana_foundation_sdk") is None:
        raise ConfigError("boards are drawn with grafana-foundation-sdk, which is not installed: make env")
    for path, content in written(options.out).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        print(path)


def written(out: Path) -> dict[Path, str]:
    """The files below a folder, and what is in them."""
    from infra.monitoring.boards.all import BOARDS  # noqa: PLC0415
    from infra.monitoring.boards.drawing import drawn  # noqa: PLC0415 (its library takes a second)

    boards = {out / "boards" / f"{board.name}.json": drawn(board) for board in BOARDS}
    return {**boards, out / "prometheus-rule.yaml": _rule_resource()}


def _rule_resource() -> str:
    """All alert rules as one resource of the Prometheus operator."""
    import yaml  # noqa: PLC0415

    groups: list[Any] = []
    for path in sorted(RULES.glob("*.yaml")):
        groups += yaml.safe_load(path.read_text())["groups"]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "soul", "labels": {"app.kubernetes.io/part-of": "soul"}},
        "spec": {"groups": groups},
    }
    return "# Written by `make dashboards` from infra/monitoring/rules.\n" + yaml.safe_dump(
        resource, sort_keys=False, width=120
    )
