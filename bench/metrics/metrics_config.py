"""From the options of `bench.metrics.options` to the metrics' configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.metrics import dino, identity
from bench.metrics.appearance import AppearanceConfig
from bench.metrics.av_align import AvAlignConfig
from bench.metrics.dino import DinoConfig
from bench.metrics.finevq import FineVqConfig
from bench.metrics.identity import IdentityConfig
from bench.metrics.registry import MetricsConfig
from bench.metrics.syncnet import metric as syncnet
from bench.metrics.syncnet.metric import SyncNetConfig
from bench.metrics.vtc import JudgeConfig


def metrics_config(options: argparse.Namespace) -> MetricsConfig:
    """The configuration that the options describe; weights that are not named are looked for in `--models`.

    Raises:
        ValueError: an option has an impossible value.
    """
    try:
        first_seam, clip_frames = (int(part) for part in options.seams.split(","))
    except ValueError as error:
        raise ValueError(f"--seams {options.seams!r}: expected two numbers of frames, such as 109,100") from error
    # Workers may have another working directory.
    models = options.models.resolve()
    return MetricsConfig(
        av_align=AvAlignConfig(fps=0, short_edge=0) if options.av_align_native else AvAlignConfig(),
        syncnet=SyncNetConfig(weights=options.syncnet_weights or _fetched(models / syncnet.WEIGHTS)),
        identity=IdentityConfig(
            arcface=options.arcface_weights or _fetched(models / identity.ARCFACE),
            detector=options.face_weights or _fetched(models / identity.DETECTOR),
        ),
        dino=DinoConfig(model=options.dino or _folder(models / dino.FOLDER)),
        vtc=JudgeConfig(url=options.judge_url, **({"model": options.judge_model} if options.judge_model else {})),
        finevq=FineVqConfig(url=options.finevq_url),
        appearance=AppearanceConfig(first_seam=first_seam, clip_frames=clip_frames),
    )


def _fetched(path: Path) -> Path | None:
    return path if path.is_file() else None


def _folder(path: Path) -> str | None:
    return str(path) if any(path.glob("*.safetensors")) else None
