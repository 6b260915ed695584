"""Command-line options that say where weights and endpoints are; shared by all commands that build metrics."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_models(group: argparse._ActionsContainer) -> None:
    """Add the folder in which weights lie."""
    group.add_argument(
        "--models", type=Path, default=Path("models"), metavar="DIR",
        help="where `fetch-weights` puts weights, and where metrics look for those not named here (default: models)",
    )  # fmt: skip


def add_metric_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    group = parser.add_argument_group("weights and endpoints (metrics without theirs are left out)")
    add_models(group)
    group.add_argument("--syncnet-weights", type=Path, metavar="FILE", help="syncnet_v2.model")
    group.add_argument("--arcface-weights", type=Path, metavar="FILE", help="ArcFace as ONNX")
    group.add_argument("--face-weights", type=Path, metavar="FILE", help="SCRFD with five points as ONNX")
    group.add_argument("--dino", metavar="DIR_OR_ID", help="DINOv2 in the layout of transformers")
    group.add_argument("--judge-url", metavar="URL", help="OpenAI-compatible endpoint of the judge, with /v1")
    group.add_argument("--judge-model", metavar="NAME", help="default: the paper's Qwen3-VL-235B-A22B")
    group.add_argument("--finevq-url", metavar="URL", help="FineVQ's endpoint (see infra/served/finevq.py)")
    settings = parser.add_argument_group("settings (rows of different settings are never compared)")
    settings.add_argument(
        "--av-align-native", action="store_true", help="AV-Align at each video's own size and rate, as the original"
    )
    settings.add_argument(
        "--seams", metavar="FIRST,EVERY", default="109,100", help="frames of the clips, for seams (default: 109,100)"
    )
