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
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.motion.estimator import CameraEstimator
from curation.backends.picture.cut_checker import CutChecker
from curation.backends.pose.estimator import PoseEstimator
from curation.backends.quality.scorer import QualityScorer
from curation.backends.speech.detector import SpeechDetector
from curation.backends.text.detector import TextDetector

Backend = TypeVar("Backend")


@dataclass(frozen=True, slots=True)
class Method(Generic[Backend]):
    """One backend of a kind."""

    load: Callable[[ModelsConfig], Backend]
    """Imports the backend when it is called, so that only chosen backends are loaded."""
    models: tuple[str, ...] = ()
    """Fields of `ModelsConfig` that it runs."""
    lesser: bool = False
    """Whether it stands in for the paper's model because it needs no weights."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[Backend]):
    """Backends that can stand in for each other."""

    called: str
    """What messages call a backend of this kind."""
    methods: Mapping[str, Method[Backend]]
    """By the name that a configuration gives."""
    paper: str | None = None
    """The model that the paper uses (Sec. 4.1); None where it names none."""

    def method(self, name: str) -> Method[Backend]:
        """The method of a name.

        Raises:
            ValueError: no backend has that name.
        """
        if name not in self.methods:
            raise ValueError(f"unknown {self.called} {name!r}; known: {', '.join(self.methods)}")
        return self.methods[name]

    def build(self, name: str, models: ModelsConfig = NO_MODELS) -> Backend:
        """The backend of a name, loaded and ready.

        Raises:
            ValueError: no backend has that name, or a model that it runs is not there.
        """
        return self.method(name).load(models)


def _dlib_hog(_: ModelsConfig) -> FaceDetector:
    from curation.backends.faces.dlib_hog import DlibHog

    return DlibHog()


def _retinaface(models: ModelsConfig) -> FaceDetector:
    from curation.backends.faces.retinaface.detector import RetinaFace

    return RetinaFace(models.retinaface)


def _face_geometry(_: ModelsConfig) -> PoseEstimator:
    from curation.backends.pose.face_geometry import FaceGeometry

    return FaceGeometry()


def _rtmo(models: ModelsConfig) -> PoseEstimator:
    from curation.backends.pose.rtmo import Rtmo

    return Rtmo(models.rtmo)


def _rtmpose(models: ModelsConfig) -> PoseEstimator:
    from curation.backends.pose.rtmpose import RtmPose

    return RtmPose(models.rtmpose)


def _rapidocr(_: ModelsConfig) -> TextDetector:
    from curation.backends.text.rapidocr import RapidOcrTextDetector

    return RapidOcrTextDetector()


def _paddleocr(models: ModelsConfig) -> TextDetector:
    from curation.backends.text.paddleocr import PaddleOcrTextDetector

    return PaddleOcrTextDetector(models.paddleocr)


def _mouth_motion(_: ModelsConfig) -> SyncScorer:
    from curation.backends.lips.mouth_motion import MouthMotionScorer

    return MouthMotionScorer()


def _syncnet(models: ModelsConfig) -> SyncScorer:
    from curation.backends.lips.syncnet.scorer import SyncNetScorer

    return SyncNetScorer(models.syncnet)


def _periodicity(_: ModelsConfig) -> SpeechDetector:
    from curation.backends.speech.periodicity import PeriodicityDetector

    return PeriodicityDetector()


def _silero(_: ModelsConfig) -> SpeechDetector:
    from curation.backends.speech.silero import SileroDetector

    return SileroDetector()


def _no_reference(_: ModelsConfig) -> QualityScorer:
    from curation.backends.quality.no_reference import NoReferenceScorer

    return NoReferenceScorer()


def _finevq(models: ModelsConfig) -> QualityScorer:
    from curation.backends.quality.finevq.scorer import FineVqScorer

    return FineVqScorer(models.finevq)


def _measured_defects(_: ModelsConfig) -> DefectDetector:
    from curation.backends.defects.measured_defects import MeasuredDefects

    return MeasuredDefects()


def _asked_defects(models: ModelsConfig) -> DefectDetector:
    from curation.backends.vlm.defects import VlmDefects

    return VlmDefects(models.defects)


def _features(_: ModelsConfig) -> CameraEstimator:
    from curation.backends.motion.features import FeatureCamera

    return FeatureCamera()


def _colour_edges(_: ModelsConfig) -> CutChecker:
    from curation.backends.picture.colour_edges import ColourEdges

    return ColourEdges()


def _dinov2(models: ModelsConfig) -> CutChecker:
    from curation.backends.picture.dinov2 import Dinov2

    return Dinov2(models.dinov2)


def _transnetv2(models: ModelsConfig) -> CutChecker:
    from curation.backends.picture.transnetv2 import TransNetV2

    return TransNetV2(models.transnetv2)


def _measured_captions(_: ModelsConfig) -> Captioner:
    from curation.backends.caption.measured_captioner import MeasuredCaptioner

    return MeasuredCaptioner()


def _asked_captions(models: ModelsConfig) -> Captioner:
    from curation.backends.vlm.captions import VlmCaptioner

    return VlmCaptioner(models.captions)


def _nobody(_: ModelsConfig) -> ClaimJudge:
    from curation.backends.claims.nobody import Nobody

    return Nobody()


def _asked_claims(models: ModelsConfig) -> ClaimJudge:
    from curation.backends.vlm.claims import VlmJudge

    return VlmJudge(models.claims)


FACE_DETECTORS: Kind[FaceDetector] = Kind(
    "face detector",
    {"dlib_hog": Method(_dlib_hog, lesser=True), "retinaface": Method(_retinaface, ("retinaface",))},
    paper="RetinaFace",
)
POSE_ESTIMATORS: Kind[PoseEstimator] = Kind(
    "pose backend",
    {
        "face_geometry": Method(_face_geometry, lesser=True),
        "rtmo": Method(_rtmo, ("rtmo",)),
        "rtmpose": Method(_rtmpose, ("rtmpose",)),
    },
    paper="MMPose",
)
TEXT_DETECTORS: Kind[TextDetector] = Kind(
    # RapidOCR runs the models of PaddleOCR, so it is no lesser one.
    "text detector",
    {"rapidocr": Method(_rapidocr), "paddleocr": Method(_paddleocr, ("paddleocr",))},
    paper="PaddleOCR",
)
SYNC_SCORERS: Kind[SyncScorer] = Kind(
    "sync backend",
    {"mouth_motion": Method(_mouth_motion, lesser=True), "syncnet": Method(_syncnet, ("syncnet",))},
    paper="SyncNet",
)
SPEECH_DETECTORS: Kind[SpeechDetector] = Kind(
    "speech backend", {"periodicity": Method(_periodicity), "silero": Method(_silero)}
)
QUALITY_SCORERS: Kind[QualityScorer] = Kind(
    "quality scorer",
    {"no_reference": Method(_no_reference, lesser=True), "finevq": Method(_finevq, ("finevq",))},
    paper="FineVQ",
)
DEFECT_DETECTORS: Kind[DefectDetector] = Kind(
    "defect detector",
    {"measured": Method(_measured_defects, lesser=True), "qwen_vl": Method(_asked_defects, ("defects",))},
    paper="Qwen2.5-VL",
)
CAMERA_ESTIMATORS: Kind[CameraEstimator] = Kind("camera backend", {"features": Method(_features)})
CUT_CHECKERS: Kind[CutChecker] = Kind(
    "check of cuts",
    {
        "colour_edges": Method(_colour_edges, lesser=True),
        "dinov2": Method(_dinov2, ("dinov2",)),
        "transnetv2": Method(_transnetv2, ("transnetv2",)),
    },
    paper="DINOv2",
)
CAPTIONERS: Kind[Captioner] = Kind(
    "captioner",
    {"measured": Method(_measured_captions, lesser=True), "qwen_vl": Method(_asked_captions, ("captions",))},
    paper="Qwen3-VL",
)
CLAIM_JUDGES: Kind[ClaimJudge] = Kind(
    "judge of claims",
    {"nobody": Method(_nobody, lesser=True), "qwen_vl": Method(_asked_claims, ("claims",))},
    paper="Qwen2.5-VL-72B",
)
