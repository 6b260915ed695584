"""Command-line options that say where weights and endpoints are; shared by `evaluate` and `doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.metrics.appearance import AppearanceConfig
from bench.metrics.av_align import AvAlignConfig
from bench.metrics.dino import DinoConfig
from bench.metrics.finevq import FineVqConfig
from bench.metrics.identity import IdentityConfig
from bench.metrics.registry import MetricsConfig
from bench.metrics.syncnet.metric import SyncNetConfig
from bench.metrics.vtc import JudgeConfig


def add_metric_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    group = parser.add_argument_group("weights and endpoints (metrics without theirs are left out)")
    group.add_argument("--syncnet-weights", type=Path, metavar="FILE", help="syncnet_v2.model")
    group.add_argument("--arcface-weights", type=Path, metavar="FILE", help="ArcFace as ONNX")
    group.add_argument("--face-weights", type=Path, metavar="FILE", help="SCRFD with five points as ONNX")
    group.add_argument("--dino", metavar="DIR_OR_ID", help="DINOv2 in the layout of transformers")
    group.add_argument("--judge-url", metavar="URL", help="OpenAI-compatible endpoint of the judge, with /v1")
    group.add_argument("--judge-model", metavar="NAME", default=JudgeConfig().model, help="default: %(default)s")
    group.add_argument("--finevq-url", metavar="URL", help="FineVQ's endpoint (see bench/metrics/finevq.py)")
    settings = parser.add_argument_group("settings (rows of different settings are never compared)")
    settings.add_argument(
        "--av-align-native", action="store_true", help="AV-Align at each video's own size and rate, as the original"
    )
    settings.add_argument(
        "--seams", metavar="FIRST,EVERY", default="109,100", help="frames of the clips, for seams (default: 109,100)"
    )


def metrics_config(options: argparse.Namespace) -> MetricsConfig:
    """What the options say.

    Raises:
        ValueError: one of them cannot be.
    """
    try:
        first_seam, clip_frames = (int(part) for part in options.seams.split(","))
    except ValueError as error:
        raise ValueError(f"--seams {options.seams!r}: expected two numbers of frames, such as 109,100") from error
    return MetricsConfig(
        av_align=AvAlignConfig(fps=0, short_edge=0) if options.av_align_native else AvAlignConfig(),
        syncnet=SyncNetConfig(weights=options.syncnet_weights),
        identity=IdentityConfig(arcface=options.arcface_weights, detector=options.face_weights),
        dino=DinoConfig(model=options.dino),
        vtc=JudgeConfig(url=options.judge_url, model=options.judge_model),
        finevq=FineVqConfig(url=options.finevq_url),
        appearance=AppearanceConfig(first_seam=first_seam, clip_frames=clip_frames),
    )
