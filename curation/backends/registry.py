"""All backends: for each kind the names that a configuration may give, and what each name builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from curation.backends.caption.captioner import Captioner
from curation.backends.claims.judge import ClaimJudge
from curation.backends.defects.detector import DefectDetector
from curation.backends.faces.detector import FaceDetector
from curation.backends.lips.scorer import SyncScorer
from curation.backends.motion.estimator import CameraEstimator
from curation.backends.picture.descriptor import FrameDescriptor
from curation.backends.pose.estimator import PoseEstimator
from curation.backends.quality.scorer import QualityScorer
from curation.backends.speech.detector import SpeechDetector
from curation.backends.text.detector import TextDetector

Backend = TypeVar("Backend")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Backend]):
    """Backends that can stand in for each other."""

    called: str
    """What messages call a backend of this kind."""
    loaders: Mapping[str, Callable[[], Backend]]
    """By name. Each imports its backend when it is called, so that only chosen backends are loaded."""

    def build(self, name: str) -> Backend:
        """The backend of a name, loaded and ready.

        Raises:
            ValueError: no backend has that name.
        """
        if name not in self.loaders:
            raise ValueError(f"unknown {self.called} {name!r}; known: {', '.join(self.loaders)}")
        return self.loaders[name]()


def _dlib_hog() -> FaceDetector:
    from curation.backends.faces.dlib_hog import DlibHog

    return DlibHog()


def _face_geometry() -> PoseEstimator:
    from curation.backends.pose.face_geometry import FaceGeometry

    return FaceGeometry()


def _rapidocr() -> TextDetector:
    from curation.backends.text.rapidocr import RapidOcrTextDetector

    return RapidOcrTextDetector()


def _mouth_motion() -> SyncScorer:
    from curation.backends.lips.mouth_motion import MouthMotionScorer

    return MouthMotionScorer()


def _periodicity() -> SpeechDetector:
    from curation.backends.speech.periodicity import PeriodicityDetector

    return PeriodicityDetector()


def _no_reference() -> QualityScorer:
    from curation.backends.quality.no_reference import NoReferenceScorer

    return NoReferenceScorer()


def _measured_defects() -> DefectDetector:
    from curation.backends.defects.measured_defects import MeasuredDefects

    return MeasuredDefects()


def _features() -> CameraEstimator:
    from curation.backends.motion.features import FeatureCamera

    return FeatureCamera()


def _colour_edges() -> FrameDescriptor:
    from curation.backends.picture.colour_edges import ColourEdges

    return ColourEdges()


def _measured_captions() -> Captioner:
    from curation.backends.caption.measured_captioner import MeasuredCaptioner

    return MeasuredCaptioner()


FACE_DETECTORS: Kind[FaceDetector] = Kind("face detector", {"dlib_hog": _dlib_hog})
POSE_ESTIMATORS: Kind[PoseEstimator] = Kind("pose backend", {"face_geometry": _face_geometry})
TEXT_DETECTORS: Kind[TextDetector] = Kind("text detector", {"rapidocr": _rapidocr})
SYNC_SCORERS: Kind[SyncScorer] = Kind("sync backend", {"mouth_motion": _mouth_motion})
SPEECH_DETECTORS: Kind[SpeechDetector] = Kind("speech backend", {"periodicity": _periodicity})
QUALITY_SCORERS: Kind[QualityScorer] = Kind("quality scorer", {"no_reference": _no_reference})
DEFECT_DETECTORS: Kind[DefectDetector] = Kind("defect detector", {"measured": _measured_defects})
CAMERA_ESTIMATORS: Kind[CameraEstimator] = Kind("camera backend", {"features": _features})
FRAME_DESCRIPTORS: Kind[FrameDescriptor] = Kind("frame descriptor", {"colour_edges": _colour_edges})
CAPTIONERS: Kind[Captioner] = Kind("captioner", {"measured": _measured_captions})
CLAIM_JUDGES: Kind[ClaimJudge] = Kind("claim judge", {})
