"""The pipeline: the list of stages, in order (paper, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.backends.registry import FACE_DETECTORS
from curation.planning import PlanningConfig
from curation.shards.run_directory import ShardsConfig
from curation.sources import SourcesConfig
from curation.sources.node_copies import FetchConfig
from curation.stage import EachClip, InOrder, Stage
from curation.stages.caption import CaptionConfig, CaptionStage
from curation.stages.consistency import ConsistencyConfig, ConsistencyFilter
from curation.stages.defects import DefectConfig, DefectFilter
from curation.stages.export import Export, ExportConfig
from curation.stages.face_detection import FaceDetection
from curation.stages.faces import FacesConfig, FacesFilter
from curation.stages.format import FormatConfig, FormatFilter
from curation.stages.motion import MotionConfig, MotionStage
from curation.stages.pose import PoseConfig, PoseStage
from curation.stages.quality import QualityConfig, QualityFilter
from curation.stages.resolution import ResolutionConfig, ResolutionFilter
from curation.stages.scenes import SceneDetection, ScenesConfig
from curation.stages.split import Split, SplitConfig
from curation.stages.subtitles import SubtitleConfig, SubtitleFilter
from curation.stages.sync import SyncConfig, SyncFilter
from infra.config import fingerprint
from infra.jobs.placement import ExecutionConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class StagesConfig:
    """Thresholds and backends of every stage; their hash is stored with every decision."""

    format: FormatConfig = FormatConfig()
    resolution: ResolutionConfig = ResolutionConfig()
    scenes: ScenesConfig = ScenesConfig()
    split: SplitConfig = SplitConfig()
    faces: FacesConfig = FacesConfig()
    quality: QualityConfig = QualityConfig()
    subtitles: SubtitleConfig = SubtitleConfig()
    defects: DefectConfig = DefectConfig()
    pose: PoseConfig = PoseConfig()
    motion: MotionConfig = MotionConfig()
    sync: SyncConfig = SyncConfig()
    caption: CaptionConfig = CaptionConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    export: ExportConfig = ExportConfig()


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationConfig:
    """Everything a profile's `curation` section can say."""

    requires: Literal["any", "paper"] = "any"
    """`paper`: a run is refused where a stage has only a lesser method than the paper's model."""
    stages: StagesConfig = StagesConfig()
    sources: SourcesConfig = SourcesConfig()
    planning: PlanningConfig = PlanningConfig()
    fetching: FetchConfig = FetchConfig()
    execution: ExecutionConfig = ExecutionConfig()
    shards: ShardsConfig = ShardsConfig()

    @property
    def hash(self) -> str:
        """Changes with anything that can change a decision."""
        return fingerprint(self.stages)


STAGES: dict[str, Callable[[StagesConfig], Stage]] = {
    "format": lambda config: FormatFilter(config.format),
    "resolution": lambda config: ResolutionFilter(config.resolution),
    "scenes": lambda config: SceneDetection(config.scenes),
    "split": lambda config: InOrder(FaceDetection(FACE_DETECTORS.build(config.split.backend)), Split(config.split)),
    "faces": lambda config: EachClip(FacesFilter(config.faces)),
    "quality": lambda config: EachClip(QualityFilter(config.quality)),
    "subtitles": lambda config: EachClip(SubtitleFilter(config.subtitles)),
    "defects": lambda config: EachClip(DefectFilter(config.defects)),
    "pose": lambda config: PoseStage(config.pose),
    "motion": lambda config: EachClip(MotionStage(config.motion)),
    "sync": lambda config: SyncFilter(config.sync),
    "caption": lambda config: EachClip(CaptionStage(config.caption)),
    "consistency": lambda config: EachClip(ConsistencyFilter(config.consistency)),
    "export": lambda config: Export(config.export),
}


def build_stages(config: StagesConfig, names: Sequence[str] = tuple(STAGES)) -> list[tuple[str, Stage]]:
    """The named stages, ready to run; loads their backends."""
    return [(name, STAGES[name](config)) for name in names]
