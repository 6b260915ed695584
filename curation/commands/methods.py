"""Which of the pipeline's methods are lesser ones: they have no weights and stand in for a model of the paper's.

A profile says what it requires (`curation.requires`), and the stages' configuration says which methods run. The
difference is told before any work: data decided on by lesser methods must never pass for the paper's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from curation.pipeline import StagesConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A place in a stage that a backend fills."""

    stage: str
    setting: str | None
    """Field of the stage's configuration that names the backend; None where there is nothing to choose yet."""
    local: Collection[str]
    """Backends that do without the paper's model. Any other backend is that model or as good."""
    paper: str
    """What the paper uses (Sec. 4.1)."""


SLOTS = (
    Slot(stage="scenes", setting="backend", local=("colour_edges",), paper="DINOv2"),
    Slot(stage="split", setting="backend", local=("dlib_hog",), paper="RetinaFace"),
    Slot(stage="quality", setting="backend", local=("no_reference",), paper="FineVQ"),
    Slot(stage="defects", setting="backend", local=("measured",), paper="Qwen-VL"),
    Slot(stage="pose", setting="backend", local=("face_geometry",), paper="MMPose"),
    Slot(stage="sync", setting="backend", local=("mouth_motion",), paper="SyncNet"),
    Slot(stage="caption", setting="backend", local=("measured",), paper="Qwen-VL"),
    Slot(stage="consistency", setting=None, local=("measured motion alone",), paper="a second language model's check"),
)
NOT_LESSER = (("subtitles", "backend"), ("motion", "backend"), ("sync", "speech_backend"))
"""Backends that run the paper's models (RapidOCR has PaddleOCR's), or for whose task the paper names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LesserMethod:
    """A stage that would run something else than the paper's model."""

    stage: str
    backend: str
    paper: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.backend} in place of {self.paper}"


def lesser_methods(stages: StagesConfig) -> list[LesserMethod]:
    """Every lesser method that these settings choose, in the order of the stages."""
    return [
        LesserMethod(stage=slot.stage, backend=name, paper=slot.paper)
        for slot in SLOTS
        for name in ([getattr(getattr(stages, slot.stage), slot.setting)] if slot.setting else slot.local)
        if name in slot.local
    ]
