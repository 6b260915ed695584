"""Options of `python -m infra.monitoring`."""

from __future__ import annotations

import argparse

from infra.command_line import port_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where both listen."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    parser.add_argument("--port", type=port_number, default=9090, metavar="N", help="of Prometheus (default: 9090)")
    parser.add_argument(
        "--grafana-port", type=port_number, default=3000, metavar="N", help="of Grafana (default: 3000)"
    )
