"""The models that a profile can choose, with their settings: `curation.models` of a profile.

A model's settings lie beside its backend, in a module that imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.lips.syncnet.config import SyncNetConfig
from curation.backends.picture.dinov2 import Dinov2Config
from curation.backends.picture.transnetv2 import TransNetV2Config
from curation.backends.pose.rtm_config import RtmoConfig, RtmPoseConfig
from curation.backends.quality.finevq.config import FineVqConfig
from curation.backends.text.paddleocr import PaddleOcrConfig
from curation.backends.vlm.captions import VlmCaptionerConfig
from curation.backends.vlm.claims import VlmJudgeConfig
from curation.backends.vlm.defects import VlmDefectsConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsConfig:
    """Where each model's weights or server are, and how it runs; only what a stage's backend uses is ever looked at."""

    dinov2: Dinov2Config = Dinov2Config()
    transnetv2: TransNetV2Config = TransNetV2Config()
    retinaface: RetinaFaceConfig = RetinaFaceConfig()
    finevq: FineVqConfig = FineVqConfig()
    paddleocr: PaddleOcrConfig = PaddleOcrConfig()
    defects: VlmDefectsConfig = VlmDefectsConfig()
    rtmo: RtmoConfig = RtmoConfig()
    rtmpose: RtmPoseConfig = RtmPoseConfig()
    syncnet: SyncNetConfig = SyncNetConfig()
    captions: VlmCaptionerConfig = VlmCaptionerConfig()
    claims: VlmJudgeConfig = VlmJudgeConfig()


NO_MODELS: Final = ModelsConfig()
"""All settings at their defaults, under which backends without weights run."""
