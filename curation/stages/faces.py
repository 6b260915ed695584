"""Keep clips that show a confident face, and follow faces over the keyframes (paper, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curation.clip.observations import FaceBox, FaceTrack, Keyframe
from curation.clip.schema import Clip
from curation.rules.rule import Limit, Rule, decide_clip

STAGE = "faces"


@dataclass(frozen=True, kw_only=True, slots=True)
class FacesConfig:
    """When a clip counts as showing a person."""

    min_confidence: float = 0.3
    """Mean confidence of the largest track; dlib gives 0.5–2.1 on real clips of one person, 0.3 where two people are
    half turned away [measured]."""
    min_presence: float = 0.5
    """Share of keyframes on which the main face is found [our choice: heads turn, HOG sees frontal faces]."""
    min_height: float = 0.0
    """Mean height of the main face, as a share of the picture's. 0 takes faces of any size, for the paper has full
    bodies too; 0.3 leaves head and shoulders."""
    min_iou: float = 0.3
    """Overlap that continues a track from one keyframe to the next (SyncNet asks 0.5 at 25 fps)."""
    max_gap_frames: int = 4
    """Keyframes a track may miss (2 s at 2 keyframes a second)."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a clip of the human pool."""
        nobody = Limit("face_presence", "<=", 0.0)
        rarely = Limit("face_presence", "<", self.min_presence, "min_presence")
        unsure = Limit("face_confidence", "<", self.min_confidence, "min_confidence")
        small = Limit("face_height", "<", self.min_height, "min_height")
        return (
            Rule(name="no_face", limits=(nobody,), humans_only=True),
            Rule(name="presence", limits=(rarely,), humans_only=True),
            Rule(name="confidence", limits=(unsure,), humans_only=True),
            Rule(name="small", limits=(small,), humans_only=True),
        )


class FacesFilter:
    """Build face tracks; in the human pool reject clips without a lasting, confident face."""

    def __init__(self, config: FacesConfig) -> None:
        self.config = config

    def __call__(self, clip: Clip) -> Clip:
        """The clip with its tracks, largest face first, and the main track's presence and confidence."""
        tracks = build_tracks(clip.keyframes, self.config.min_iou, self.config.max_gap_frames)
        clip = replace(clip, tracks=tracks)
        presence, confidence, height = 0.0, None, None
        if tracks:
            main = tracks[0]
            presence = len(main.faces) / len(clip.keyframes)
            confidence = float(np.mean([face.confidence for face in main.faces]))
            height = float(np.mean([face.box.height for face in main.faces]))
        clip = clip.with_scores(face_presence=presence, face_confidence=confidence, face_height=height)
        return decide_clip(clip, STAGE, self.config.rules)


def build_tracks(keyframes: tuple[Keyframe, ...], min_iou: float, max_gap_frames: int) -> tuple[FaceTrack, ...]:
    """Link faces of successive keyframes by overlap, greedily; the track that covers the most picture comes first."""
    open_tracks: list[list[tuple[int, float, FaceBox]]] = []
    done: list[list[tuple[int, float, FaceBox]]] = []
    for index, keyframe in enumerate(keyframes):
        done += [track for track in open_tracks if index - track[-1][0] > max_gap_frames + 1]
        open_tracks = [track for track in open_tracks if index - track[-1][0] <= max_gap_frames + 1]
        free = list(open_tracks)
        for face in sorted(keyframe.faces, key=lambda face: -face.box.area):
            best = max(free, key=lambda track: track[-1][2].box.iou(face.box), default=None)
            if best is not None and best[-1][2].box.iou(face.box) >= min_iou:
                best.append((index, keyframe.time_s, face))
                free = [track for track in free if track is not best]
            else:
                open_tracks.append([(index, keyframe.time_s, face)])
    tracks = [
        FaceTrack(times_s=tuple(time for _, time, _ in track), faces=tuple(face for _, _, face in track))
        for track in done + open_tracks
    ]
    return tuple(sorted(tracks, key=lambda track: -track.mean_area * len(track.faces)))
