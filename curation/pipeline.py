"""The pipeline: the list of stages, in order (paper, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from curation.backends.models import ModelsConfig
from curation.backends.picture.embedder import PictureEmbedder
from curation.backends.registry import (
    CAMERA_ESTIMATORS,
    CAPTIONERS,
    CLAIM_JUDGES,
    CUT_CHECKERS,
    DEFECT_DETECTORS,
    FACE_DETECTORS,
    POSE_ESTIMATORS,
    QUALITY_SCORERS,
    SPEECH_DETECTORS,
    SYNC_SCORERS,
    TEXT_DETECTORS,
    Kind,
    Method,
)
from curation.backends.settings import decisive
from curation.planning import PlanningConfig
from curation.shards.clip_rows import DecidedBy
from curation.shards.run_directory import ShardsConfig
from curation.sources import SourcesConfig
from curation.sources.node_copies import FetchConfig
from curation.stage import EachClip, InOrder, Stage
from curation.stages.caption import CaptionConfig, CaptionStage
from curation.stages.consistency import ConsistencyConfig, ConsistencyFilter
from curation.stages.defects import DefectConfig, DefectFilter
from curation.stages.embedding import EmbedKeyframes
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
from infra.config import ConfigError, fingerprint, values_of
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
    models: ModelsConfig = ModelsConfig()
    sources: SourcesConfig = SourcesConfig()
    planning: PlanningConfig = PlanningConfig()
    fetching: FetchConfig = FetchConfig()
    execution: ExecutionConfig = ExecutionConfig()
    shards: ShardsConfig = ShardsConfig()

    @property
    def decided_by(self) -> DecidedBy:
        """What is written beside every decision."""
        backends: dict[str, str] = {}
        for use in methods_in_use(self.stages):
            stage = use.place.stage
            backends[stage] = f"{backends[stage]}+{use.name}" if stage in backends else use.name
        return DecidedBy(config_hash=self.hash, backends=backends)

    @property
    def deciding(self) -> dict[str, Any]:
        """What can change a decision, as a profile would say it."""
        return {"stages": values_of(self.stages), "models": values_of(self.models)}

    @property
    def hash(self) -> str:
        """Changes with anything that can change a decision."""
        return fingerprint({"stages": decisive(self.stages), "models": self.models_in_use})

    @property
    def models_in_use(self) -> dict[str, dict[str, Any]]:
        """What can change a decision in the settings of each model that a stage runs."""
        return {
            name: decisive(getattr(self.models, name))
            for use in methods_in_use(self.stages)
            for name in use.method.models
        }


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a stage that a backend fills."""

    stage: str
    setting: str
    """Field of the stage's configuration that names the backend, or holds None for no backend at all."""
    kind: Kind[Any]


PLACES = (
    Place("scenes", "backend", CUT_CHECKERS),
    Place("split", "backend", FACE_DETECTORS),
    Place("quality", "backend", QUALITY_SCORERS),
    Place("subtitles", "backend", TEXT_DETECTORS),
    Place("defects", "backend", DEFECT_DETECTORS),
    Place("defects", "second_backend", DEFECT_DETECTORS),
    Place("pose", "backend", POSE_ESTIMATORS),
    Place("motion", "backend", CAMERA_ESTIMATORS),
    Place("sync", "backend", SYNC_SCORERS),
    Place("sync", "speech_backend", SPEECH_DETECTORS),
    Place("caption", "backend", CAPTIONERS),
    Place("consistency", "backend", CLAIM_JUDGES),
)


@dataclass(frozen=True, slots=True)
class Use:
    """A backend that a configuration has put in a place."""

    place: Place
    name: str

    @property
    def method(self) -> Method[Any]:
        """How it is loaded and what it runs."""
        return self.place.kind.method(self.name)


def methods_in_use(config: StagesConfig) -> list[Use]:
    """The backend in each place, in the order of the stages.

    Raises:
        ConfigError: there is no backend of a name that is given.
    """
    named = [(place, getattr(getattr(config, place.stage), place.setting)) for place in PLACES]
    uses = [Use(place, name) for place, name in named if name is not None]
    for use in uses:
        try:
            use.place.kind.method(use.name)
        except ValueError as error:
            raise ConfigError(f"stages.{use.place.stage}: {error}") from None
    return uses


def _scenes(config: StagesConfig, models: ModelsConfig) -> Stage:
    """Scene detection; a network that checks cuts is there anyway, and also embeds the keyframes."""
    detection = SceneDetection(config.scenes, models)
    if isinstance(detection.checker, PictureEmbedder):
        return InOrder(detection, EmbedKeyframes(detection.checker))
    return detection


STAGES: dict[str, Callable[[StagesConfig, ModelsConfig], Stage]] = {
    "format": lambda config, _: FormatFilter(config.format),
    "resolution": lambda config, _: ResolutionFilter(config.resolution),
    "scenes": _scenes,
    "split": lambda config, models: InOrder(
        FaceDetection(FACE_DETECTORS.build(config.split.backend, models)), Split(config.split)
    ),
    "faces": lambda config, _: EachClip(FacesFilter(config.faces)),
    "quality": lambda config, models: EachClip(QualityFilter(config.quality, models)),
    "subtitles": lambda config, models: EachClip(SubtitleFilter(config.subtitles, models)),
    "defects": lambda config, models: EachClip(
        DefectFilter(config.defects, models), in_flight=config.defects.in_flight
    ),
    "pose": lambda config, models: PoseStage(config.pose, models),
    "motion": lambda config, models: EachClip(MotionStage(config.motion, models)),
    "sync": lambda config, models: SyncFilter(config.sync, models),
    "caption": lambda config, models: EachClip(
        CaptionStage(config.caption, models), in_flight=config.caption.in_flight
    ),
    "consistency": lambda config, models: EachClip(
        ConsistencyFilter(config.consistency, models), in_flight=config.consistency.in_flight
    ),
    "export": lambda config, _: Export(config.export),
}


def build_stages(config: CurationConfig, names: Sequence[str] = tuple(STAGES)) -> list[tuple[str, Stage]]:
    """The named stages, ready to run; loads their backends."""
    return [(name, STAGES[name](config.stages, config.models)) for name in names]
