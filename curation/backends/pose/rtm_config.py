"""Settings of MMPose's networks, RTMO and RTMPose; importing them loads neither."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from curation.backends.settings import PLACEMENT


@dataclass(frozen=True, kw_only=True, slots=True)
class RtmoConfig:
    """Weights of RTMO and whom it finds."""

    weights: str = "models/rtmo.onnx"
    """ONNX file as MMDeploy exports MMPose's RTMO for COCO's 17 joints, with or without its own suppression of
    overlapping boxes."""
    min_person_confidence: float = 0.5
    """Score of a person that counts, in [0, 1] [our choice, not measured: no weights at hand]."""
    max_overlap: float = 0.65
    """Intersection over union above which two boxes are the same person: MMPose's own value for RTMO."""
    min_joint_confidence: float = 0.3
    """Probability from which a joint counts as seen: MMPose's own value for drawing joints."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=16, metadata=PLACEMENT)
    """Keyframes in one run, of all clips in work; a network that was exported for one picture takes them one by
    one."""
    threads: int = field(default=0, metadata=PLACEMENT)
    """Threads of a run on the CPU; 0 leaves it to onnxruntime."""

    packages: ClassVar[tuple[str, ...]] = ()
    """None by name: onnxruntime comes as `onnxruntime` or `onnxruntime-gpu`, so `missing` looks for the module."""

    def __post_init__(self) -> None:
        """Refuse limits that cannot be met."""
        if not 0.0 <= self.min_person_confidence <= 1.0 or not 0.0 <= self.max_overlap <= 1.0:
            raise ValueError(
                "min_person_confidence and max_overlap must be in [0, 1], not "
                f"{self.min_person_confidence} and {self.max_overlap}"
            )
        _check(self.min_joint_confidence, self.batch_size, self.threads)

    def missing(self) -> list[str]:
        """What is not there, a line each."""
        return _missing(self.weights, "RTMO")

    def found(self) -> str:
        """Weights, their size and the device."""
        return _found(self.weights, self.device)


def _check(min_joint_confidence: float, batch_size: int, threads: int) -> None:
    if min_joint_confidence <= 0.0:
        raise ValueError(f"min_joint_confidence must be above 0, not {min_joint_confidence}")
    if batch_size < 1 or threads < 0:
        raise ValueError(f"batch_size must be at least 1 and threads 0, not {batch_size} and {threads}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RtmPoseConfig:
    """Weights of RTMPose and where it takes people from."""

    weights: str = "models/rtmpose.onnx"
    """ONNX file as MMDeploy exports MMPose's RTMPose for COCO's 17 joints."""
    people: Literal["rtmo", "faces"] = "rtmo"
    """Whose joints: those of people whom RTMO finds, or those below the clip's faces, by the figure of eight heads.
    The latter needs no second network but leaves out people without a visible face."""
    rtmo: RtmoConfig = RtmoConfig()
    """The network that finds the people, where they come from RTMO."""
    min_joint_confidence: float = 0.3
    """Height of the peak from which a joint counts as seen: MMPose's own value for drawing joints. RTMPose's peaks are
    no probabilities and can exceed 1."""
    device: str = field(default="auto", metadata=PLACEMENT)
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    batch_size: int = field(default=64, metadata=PLACEMENT)
    """People in one run, of all clips in work; a network that was exported for one person takes them one by one."""
    threads: int = field(default=0, metadata=PLACEMENT)
    """Threads of a run on the CPU; 0 leaves it to onnxruntime."""

    packages: ClassVar[tuple[str, ...]] = ()
    """None by name, as for RTMO."""

    def __post_init__(self) -> None:
        """Refuse limits that cannot be met."""
        _check(self.min_joint_confidence, self.batch_size, self.threads)

    def missing(self) -> list[str]:
        """What is not there, a line each."""
        lines = _missing(self.weights, "RTMPose")
        return lines + self.rtmo.missing() if self.people == "rtmo" else lines

    def found(self) -> str:
        """Weights, their size and the device."""
        own = _found(self.weights, self.device)
        return f"{own}; people from {self.rtmo.found() if self.people == 'rtmo' else 'faces'}"


def _missing(weights: str, name: str) -> list[str]:
    """What an ONNX network of MMPose's lacks to run, a line each."""
    lines = []
    if importlib.util.find_spec("onnxruntime") is None:
        lines.append(f"{name} needs onnxruntime: install onnxruntime, or onnxruntime-gpu on a machine with a GPU")
    if not Path(weights).is_file():
        lines.append(
            f"no weights of {name} at {weights}: expected the ONNX file of MMPose's {name} for COCO's 17 joints "
            "(the end2end.onnx of MMPose's model zoo)"
        )
    return lines


def _found(weights: str, device: str) -> str:
    """Weights, their size and the device in one phrase."""
    file = Path(weights)
    size = f", {file.stat().st_size / 1e6:.1f} MB" if file.is_file() else " (not there)"
    return f"{weights}{size}, {device}"
