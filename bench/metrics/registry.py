"""All metrics, and the configuration that each is built with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.metrics.appearance import Appearance, AppearanceConfig
from bench.metrics.av_align import AvAlign, AvAlignConfig
from bench.metrics.dino import Dino, DinoConfig
from bench.metrics.finevq import FineVq, FineVqConfig
from bench.metrics.identity import Identity, IdentityConfig
from bench.metrics.identity_colour import IdentityColour
from bench.metrics.metric import Metric
from bench.metrics.mouth_sync import MouthSync
from bench.metrics.syncnet.metric import SyncNetConfig, SyncNetMetric
from bench.metrics.vtc import JudgeConfig, VideoTextConsistency


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsConfig:
    """Settings of all metrics; a metric whose weights or endpoint are not set is unavailable."""

    av_align: AvAlignConfig = field(default_factory=AvAlignConfig)
    """Peaks of motion and sound."""
    syncnet: SyncNetConfig = field(default_factory=SyncNetConfig)
    """Weights and tracks."""
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    """Weights of ArcFace and its face detector."""
    dino: DinoConfig = field(default_factory=DinoConfig)
    """Weights of DINOv2."""
    vtc: JudgeConfig = field(default_factory=JudgeConfig)
    """The judge."""
    finevq: FineVqConfig = field(default_factory=FineVqConfig)
    """The endpoint."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    """Sizes, seams and limits."""


METRICS: Mapping[str, Callable[[MetricsConfig], Metric]] = {
    VideoTextConsistency.name: lambda config: VideoTextConsistency(config.vtc),
    SyncNetMetric.name: lambda config: SyncNetMetric(config.syncnet),
    Identity.name: lambda config: Identity(config.identity),
    Dino.name: lambda config: Dino(config.dino),
    FineVq.name: lambda config: FineVq(config.finevq),
    AvAlign.name: lambda config: AvAlign(config.av_align),
    MouthSync.name: lambda _: MouthSync(),
    Appearance.name: lambda config: Appearance(config.appearance),
    IdentityColour.name: lambda _: IdentityColour(),
}
"""Metrics by name: those of the paper's Tab. 2 in its order, then ours."""


def build_metrics(names: Sequence[str], config: MetricsConfig) -> list[Metric]:
    """The metrics of these names; none loads anything yet.

    Raises:
        ValueError: a name is unknown.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}; there are {', '.join(METRICS)}")
    return [METRICS[name](config) for name in dict.fromkeys(names)]
