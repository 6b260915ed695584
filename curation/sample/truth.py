"""What is known of each video of the sample bucket because we made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from curation.clip.caption import CameraMovement
from curation.clip.schema import AudioType, ShotType


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTruth:
    """What a correct pipeline says about one video."""

    name: str
    """File name in the bucket."""
    keep: bool
    """In the human pool: whether its clips are kept (all but those in `rejected_spans_s`)."""
    keep_general: bool
    """The same in the general pool, where faces are not required and no audio is kept."""
    reject_stages: tuple[str, ...] = ()
    """Stages that may reject it: any of them is right. There are several where the fault shows in several ways."""
    reject_rules: tuple[str, ...] = ()
    """Rules that may reject it; where empty, any rule of those stages."""
    audio: Literal["kept", "none"] = "none"
    """What becomes of the sound of kept clips in the human pool."""
    audio_reason: Literal["", "sync/no_audio_stream", "sync/offset", "sync/silent"] = ""
    """Why a kept video has no sound, as the index says it."""
    audio_type: AudioType | None = None
    """What is heard; None where there is no file to hear."""
    readable: bool = True
    """Whether the file opens and its first frame decodes."""
    size: tuple[int, int] | None = None
    """Displayed width and height; None for what cannot be read."""
    fps: int = 25
    duration_s: float = 0.0
    cuts_s: tuple[float, ...] = ()
    """Times of the first frame after each cut."""
    rejected_spans_s: tuple[tuple[float, float], ...] = ()
    """Stretches of a kept video that have no face and are rejected in the human pool."""
    num_people: int | None = None
    shot_type: ShotType | None = None
    camera_movement: CameraMovement | None = None
    """`CameraMovement.NONE` (cannot be confirmed) is never wrong; any other movement than this one is."""
    speech_seed: int | None = None
    """`speak(duration_s + audio_lag_s, seed=speech_seed)` is what is said; None where nobody speaks."""
    audio_lag_s: float = 0.0
    """How much later the sound is than the lips: the mouth at time t is the speech's at t + lag."""
    notes: str = ""
