"""Reject clips whose caption contradicts what was measured, whoever wrote it (paper, Sec. 4.1, point 4).

The paper's examples are "camera panning" on a static shot and "person walking" without displacement. A rule abstains
where its measurement is missing or unreliable. Between "seen" and "not seen" lies a range in which no rule objects, so
a caption is rejected only where the measurement is clear.

What no rule objects to goes before a judge, where there is one: a second language model (paper: Qwen2.5-VL-72B), which
compares every claim of the caption with the frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import CLAIM_JUDGES
from curation.backends.settings import PLACEMENT
from curation.clip.caption import CameraMovement, Caption, MovementDirection
from curation.clip.claims import (
    attribute_claims,
    camera_movements,
    claims_moving_camera,
    claims_static_camera,
    claims_talking,
    claims_walking,
)
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.schema import AudioType, Clip, Pool, ShotType


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsistencyConfig:
    """Where a measurement contradicts a claim, and who judges the others."""

    backend: str = "nobody"
    """Judge of the claims that no rule objects to. Qwen2.5-VL-72B in the paper."""
    min_claim_probability: float = 0.2
    """A claim that the judge finds less probable than this contradicts the frames. Below one half, because many claims
    of one caption are judged, and a judge who cannot tell must not reject."""
    in_flight: int = field(default=8, metadata=PLACEMENT)
    """Clips of one source that are judged at the same time."""
    still_speed_per_s: float = 0.003
    """Below this speed a camera stands still, in picture diagonals per second. Measured on the labelled clips: fixed
    cameras 0 to 0.002, hand-held ones from 0.005."""
    moving_speed_per_s: float = 0.02
    """From this speed nobody would call a camera static: a tenth of the picture in 5 s."""
    opposite_rate_per_s: float = 0.02
    """A pan, tilt or zoom of at least this rate the other way contradicts a claimed one."""
    walking_min_heads: float = 1.0
    """A walker's face travels at least this far, in head heights (about 0.23 m); seated talkers sway by up to 0.44."""
    walking_min_scale: float = 0.15
    """A face that travels less may still belong to a walker if the logarithm of its size changes by this much, towards
    or away from the camera: a little less than one step of dlib's sizes (0.18)."""
    still_travel_heads: float = 0.3
    """A face that travels less than this, in head heights, stands still if its size also changes by less than
    `still_scale_per_s`."""
    still_scale_per_s: float = 0.02
    """See `still_travel_heads`; change of the logarithm of the size per second."""
    opposite_travel_heads: float = 1.0
    """A face contradicts a claimed left, right, up or down when it moves the other way, travels at least this far, in
    head heights, and is at least as fast as `opposite_direction_per_s`."""
    opposite_direction_per_s: float = 0.03
    """See `opposite_travel_heads`; in pictures per second."""
    opposite_scale_per_s: float = 0.1
    """A face contradicts a claimed approach or retreat when its size changes the other way at this rate at least, in
    the logarithm per second."""
    moved_travel_heads: float = 2.0
    """From this travel nobody would say that a person stays in place, in head heights (about 0.46 m)."""
    min_coverage: float = 0.6
    """Share of the keyframes on which the face must have been followed; it might walk while it is not
    seen."""
    max_missed_people: int = 1
    """People whom a caption may leave out (somebody passing by, or seen from behind); a caption that says nobody is
    there may leave out none."""
    max_unseen_people: int = 2
    """People whom a caption may add to those found in a portrait, which has no room for more. Wider shots show
    small and turned-away people whom a face detector misses, so the rule abstains there."""
    still_mouth_change: float = 6.0
    """Below this mean brightness change (0 to 255) a mouth does not move. Measured: a closed mouth in a moving head up
    to 5, speech from 9."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_coverage <= 1.0:
            raise ValueError(f"min_coverage must be in [0, 1], not {self.min_coverage}")
        if not 0.0 <= self.min_claim_probability <= 1.0:
            raise ValueError(f"min_claim_probability must be in [0, 1], not {self.min_claim_probability}")
        if self.in_flight < 1:
            raise ValueError(f"in_flight must be at least 1, not {self.in_flight}")
        if self.still_speed_per_s > self.moving_speed_per_s:
            raise ValueError("still_speed_per_s must not be above moving_speed_per_s")
        if self.still_travel_heads > self.moved_travel_heads:
            raise ValueError("still_travel_heads must not be above moved_travel_heads")
        if self.max_missed_people < 0 or self.max_unseen_people < 0:
            raise ValueError("max_missed_people and max_unseen_people must not be negative")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule measured for a claim that it could check."""

    rule: str
    value: float
    threshold: float
    contradicts: bool


Rule = Callable[[Caption, Clip, ConsistencyConfig], Finding | None]
"""None when the caption does not make the claim or the measurement is not reliable."""


class ConsistencyFilter:
    """Compare a caption with the measurements, then with the frames; reject at the first contradiction."""

    def __init__(self, config: ConsistencyConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.judge = CLAIM_JUDGES.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """The clip, rejected with the rule's name where its caption is contradicted."""
        caption = clip.caption
        if caption is None:
            return clip
        found = [finding for rule in RULES if (finding := rule(caption, clip, self.config))]
        contradictions = [finding for finding in found if finding.contradicts]
        clip = clip.with_scores(
            consistency_claims_checked=len(found),
            consistency_contradictions=", ".join(finding.rule for finding in contradictions) or None,
        )
        if contradictions:
            first = contradictions[0]
            return clip.reject("consistency", first.rule, first.value, first.threshold)
        return self._judged(clip, caption)

    def _judged(self, clip: Clip, caption: Caption) -> Clip:
        """The clip with the least probable claim, rejected where that contradicts the frames."""
        probabilities = self.judge.judge(clip, attribute_claims(caption))
        if not probabilities:
            return clip.with_scores(consistency_claims_judged=0)
        claim, probability = min(probabilities.items(), key=lambda judged: judged[1])
        least = self.config.min_claim_probability
        refuted = probability < least
        clip = clip.with_scores(
            consistency_claims_judged=len(probabilities),
            consistency_least_probability=probability,
            consistency_refuted_claim=str(claim) if refuted else None,
        )
        return clip.reject("consistency", "refuted_claim", probability, least) if refuted else clip


def moving_camera_on_static_shot(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """A pan, tilt, zoom, roll or hand-held camera is claimed; the picture stands still."""
    camera = CameraMotion.of(clip)
    if camera is None or not claims_moving_camera(caption):
        return None
    speed, least = camera.speed_per_s, config.still_speed_per_s
    return Finding("moving_camera_on_static_shot", speed, least, speed < least)


def static_camera_on_moving_shot(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """A static camera is claimed; the picture moves clearly."""
    camera = CameraMotion.of(clip)
    if camera is None or not claims_static_camera(caption):
        return None
    speed, most = camera.speed_per_s, config.moving_speed_per_s
    return Finding("static_camera_on_moving_shot", speed, most, speed >= most)


def opposite_camera_movement(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """A direction is claimed; the camera clearly goes the other way."""
    camera = CameraMotion.of(clip)
    claimed = camera_movements(caption)
    if camera is None or not claimed:
        return None
    against = {
        CameraMovement.PAN_LEFT: camera.pan_per_s,
        CameraMovement.PAN_RIGHT: -camera.pan_per_s,
        CameraMovement.TILT_UP: -camera.tilt_per_s,
        CameraMovement.TILT_DOWN: camera.tilt_per_s,
        CameraMovement.ZOOM_IN: -camera.zoom_per_s,
        CameraMovement.ZOOM_OUT: camera.zoom_per_s,
    }
    worst = max(against[movement] for movement in claimed)
    limit = config.opposite_rate_per_s
    return Finding("opposite_camera_movement", worst, limit, worst >= limit)


def walking_without_displacement(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """Walking or running is claimed; with the camera's motion taken out, the face stays where it is.

    A camera that follows a walker is no contradiction: it moves against the background, and so does the face.
    """
    subject = _followed_subject(clip, config)
    if subject is None or not claims_walking(caption):
        return None
    approach = abs(subject.scale_per_s) * clip.duration_s
    still = subject.travel_heads < config.walking_min_heads and approach < config.walking_min_scale
    return Finding("walking_without_displacement", subject.travel_heads, config.walking_min_heads, still)


def movement_without_displacement(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """A direction of movement is claimed; the face neither moves nor changes its size."""
    subject = _followed_subject(clip, config)
    claimed = caption.movement_direction
    if subject is None or claimed in (MovementDirection.NONE, MovementDirection.STILL):
        return None
    still = subject.travel_heads < config.still_travel_heads and abs(subject.scale_per_s) < config.still_scale_per_s
    return Finding("movement_without_displacement", subject.travel_heads, config.still_travel_heads, still)


def opposite_movement_direction(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """A direction of movement is claimed; the face clearly moves the other way."""
    subject = _followed_subject(clip, config)
    if subject is None:
        return None
    along = {
        MovementDirection.LEFT: -subject.dx_per_s,
        MovementDirection.RIGHT: subject.dx_per_s,
        MovementDirection.UP: -subject.dy_per_s,
        MovementDirection.DOWN: subject.dy_per_s,
    }
    depth = {
        MovementDirection.TOWARDS_CAMERA: subject.scale_per_s,
        MovementDirection.AWAY_FROM_CAMERA: -subject.scale_per_s,
    }
    name = "opposite_movement_direction"
    if (rate := along.get(caption.movement_direction)) is not None:
        limit = -config.opposite_direction_per_s
        far = subject.travel_heads >= config.opposite_travel_heads
        return Finding(name, rate, limit, far and rate <= limit)
    if (rate := depth.get(caption.movement_direction)) is not None:
        limit = -config.opposite_scale_per_s
        return Finding(name, rate, limit, rate <= limit)
    return None


def still_subject_moves(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """The person is said to stay in place; the face travels."""
    subject = _followed_subject(clip, config)
    if subject is None or caption.movement_direction is not MovementDirection.STILL:
        return None
    travel, most = subject.travel_heads, config.moved_travel_heads
    return Finding("still_subject_moves", travel, most, travel >= most)


def fewer_people_than_seen(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """Fewer people are claimed than were followed; checked in the human pool only, where faces are people's."""
    if caption.num_people is None or clip.num_people is None or clip.pool is not Pool.HUMAN:
        return None
    missed = clip.num_people - caption.num_people
    allowed = config.max_missed_people if caption.num_people else 0
    return Finding("fewer_people_than_seen", missed, allowed, missed > allowed)


def more_people_than_seen(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """Far more people are claimed than were followed, in a portrait."""
    if not caption.num_people or not clip.num_people or clip.shot_type is not ShotType.PORTRAIT:
        return None
    unseen = caption.num_people - clip.num_people
    return Finding("more_people_than_seen", unseen, config.max_unseen_people, unseen > config.max_unseen_people)


def talking_with_still_mouth(caption: Caption, clip: Clip, config: ConsistencyConfig) -> Finding | None:
    """Talking or singing is claimed; there is neither sound nor a moving mouth.

    Silent video of somebody who talks is no contradiction, so the mouth decides.
    """
    change = clip.scores.get("subject_mouth_change")
    silent = not clip.has_audio or clip.audio_type is AudioType.NONE
    if not isinstance(change, float) or not silent or not claims_talking(caption):
        return None
    least = config.still_mouth_change
    return Finding("talking_with_still_mouth", change, least, change < least)


RULES: tuple[Rule, ...] = (
    moving_camera_on_static_shot,
    static_camera_on_moving_shot,
    opposite_camera_movement,
    walking_without_displacement,
    movement_without_displacement,
    opposite_movement_direction,
    still_subject_moves,
    fewer_people_than_seen,
    more_people_than_seen,
    talking_with_still_mouth,
)


def _followed_subject(clip: Clip, config: ConsistencyConfig) -> SubjectMotion | None:
    subject = SubjectMotion.of(clip)
    return subject if subject is not None and subject.coverage >= config.min_coverage else None
