"""Reject clips whose caption contradicts what was measured, whoever wrote it (paper, Sec. 4.1, point 4).

The paper's examples are "camera panning" on a static shot and "person walking" without displacement. A rule abstains
where its measurement is missing or unreliable. Between "seen" and "not seen" lies a range in which no rule objects, so
a caption is rejected only where the measurement is clear.

What no rule objects to goes before a judge, where there is one: a second language model (paper: Qwen2.5-VL-72B), which
compares every claim of the caption with the frames.
"""

from __future__ import annotations

import math
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
from curation.rules.rule import Beyond, Limit, Rule, decide_clip, scores_of

STAGE = "consistency"


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

    @property
    def rules_by_look(self) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
        """What rejects a clip by the measurements of its claims, and by what the judge says of them after that."""
        refuted = Limit("consistency_least_probability", "<", self.min_claim_probability, "min_claim_probability")
        return self._measured_rules, (Rule(name="refuted_claim", limits=(refuted,)),)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a clip with a caption."""
        measured, judged = self.rules_by_look
        return measured + judged

    @property
    def _measured_rules(self) -> tuple[Rule, ...]:
        def limit(score: str, beyond: Beyond, setting: str) -> Limit:
            return Limit(score, beyond, getattr(self, setting), setting)

        followed = limit("subject_coverage", ">=", "min_coverage")
        rules: tuple[tuple[str, tuple[Limit, ...]], ...] = (
            # A moving camera is claimed; the picture stands still.
            ("moving_camera_on_static_shot", (limit("claimed_moving_camera_speed", "<", "still_speed_per_s"),)),
            # A static camera is claimed; the picture moves clearly.
            ("static_camera_on_moving_shot", (limit("claimed_static_camera_speed", ">=", "moving_speed_per_s"),)),
            # A direction is claimed; the camera clearly goes the other way.
            ("opposite_camera_movement", (limit("claimed_camera_opposite", ">=", "opposite_rate_per_s"),)),
            # Walking is claimed; with the camera's motion taken out, the face stays where it is. A camera that follows
            # a walker is no contradiction: it moves against the background, and so does the face.
            (
                "walking_without_displacement",
                (
                    limit("claimed_walk_travel", "<", "walking_min_heads"),
                    limit("claimed_walk_scale", "<", "walking_min_scale"),
                    followed,
                ),
            ),
            # A direction of movement is claimed; the face neither moves nor changes its size.
            (
                "movement_without_displacement",
                (
                    limit("claimed_movement_travel", "<", "still_travel_heads"),
                    limit("claimed_movement_scale", "<", "still_scale_per_s"),
                    followed,
                ),
            ),
            # A direction of movement is claimed; the face clearly moves the other way.
            (
                "opposite_movement_direction",
                (
                    limit("claimed_movement_opposite", ">=", "opposite_direction_per_s"),
                    limit("subject_travel_heads", ">=", "opposite_travel_heads"),
                    followed,
                ),
            ),
            (
                "opposite_movement_direction",
                (limit("claimed_depth_opposite", ">=", "opposite_scale_per_s"), followed),
            ),
            # The person is said to stay in place; the face travels.
            ("still_subject_moves", (limit("claimed_stillness_travel", ">=", "moved_travel_heads"), followed)),
            # Fewer people are claimed than were followed, or nobody where somebody was.
            ("fewer_people_than_seen", (limit("claimed_people_missed", ">", "max_missed_people"),)),
            ("fewer_people_than_seen", (Limit("claimed_nobody_missed", ">", 0.0),)),
            # Far more people are claimed than were followed, in a portrait.
            ("more_people_than_seen", (limit("claimed_people_unseen", ">", "max_unseen_people"),)),
            # Talking or singing is claimed; there is neither sound nor a moving mouth.
            ("talking_with_still_mouth", (limit("claimed_talk_mouth_change", "<", "still_mouth_change"),)),
        )
        return tuple(Rule(name=name, limits=limits) for name, limits in rules)


class ConsistencyFilter:
    """Compare a caption with the measurements, then with the frames; reject at the first contradiction."""

    def __init__(self, config: ConsistencyConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.judge = CLAIM_JUDGES.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """The clip, rejected with the rule's name where its caption is contradicted."""
        if clip.caption is None:
            return clip
        clip = clip.with_scores(**measure_claims(clip.caption, clip))
        rules, _ = self.config.rules_by_look
        scores = scores_of(clip.scores)
        checked = {rule.name for rule in rules if is_checked(rule, scores)}
        contradicted = dict.fromkeys(rule.name for rule in rules if rule.rejects(scores))
        clip = clip.with_scores(
            consistency_claims_checked=len(checked),
            consistency_contradictions=", ".join(contradicted) or None,
        )
        clip = decide_clip(clip, STAGE, rules)
        return self._judged(clip, clip.caption) if clip.kept and clip.caption else clip

    def _judged(self, clip: Clip, caption: Caption) -> Clip:
        """The clip with the least probable claim, rejected where that contradicts the frames."""
        probabilities = self.judge.judge(clip, attribute_claims(caption))
        if not probabilities:
            return clip.with_scores(consistency_claims_judged=0)
        claim, probability = min(probabilities.items(), key=lambda judged: judged[1])
        clip = clip.with_scores(
            consistency_claims_judged=len(probabilities),
            consistency_least_probability=probability,
            consistency_least_claim=str(claim),
        )
        return decide_clip(clip, STAGE, self.config.rules)


def is_checked(rule: Rule, scores: Callable[[str], float]) -> bool:
    """Whether the rule's claim is made, and what it is held against was measured reliably."""
    followed = [limit for limit in rule.limits if limit.score == "subject_coverage"]
    return not math.isnan(scores(rule.limits[0].score)) and all(limit.is_passed(scores) for limit in followed)


def measure_claims(caption: Caption, clip: Clip) -> dict[str, float | None]:
    """What was measured of each claim, as scores; None where the claim is not made or nothing could be measured."""
    return {
        **_camera_claims(caption, CameraMotion.of(clip)),
        **_subject_claims(caption, SubjectMotion.of(clip), clip.duration_s),
        **_people_claims(caption, clip),
        "claimed_talk_mouth_change": _mouth_change(clip) if claims_talking(caption) else None,
    }


def _camera_claims(caption: Caption, camera: CameraMotion | None) -> dict[str, float | None]:
    """Speeds in diagonals a second, and how fast the camera goes against the claimed direction."""
    moves, stands = claims_moving_camera(caption), claims_static_camera(caption)
    return {
        "claimed_moving_camera_speed": camera.speed_per_s if camera and moves else None,
        "claimed_static_camera_speed": camera.speed_per_s if camera and stands else None,
        "claimed_camera_opposite": _against_camera(caption, camera) if camera else None,
    }


def _against_camera(caption: Caption, camera: CameraMotion) -> float | None:
    against = {
        CameraMovement.PAN_LEFT: camera.pan_per_s,
        CameraMovement.PAN_RIGHT: -camera.pan_per_s,
        CameraMovement.TILT_UP: -camera.tilt_per_s,
        CameraMovement.TILT_DOWN: camera.tilt_per_s,
        CameraMovement.ZOOM_IN: -camera.zoom_per_s,
        CameraMovement.ZOOM_OUT: camera.zoom_per_s,
    }
    return max((against[movement] for movement in camera_movements(caption)), default=None)


def _subject_claims(caption: Caption, subject: SubjectMotion | None, duration_s: float) -> dict[str, float | None]:
    """Travels in head heights, changes of the logarithm of the size, and speeds against the claimed direction."""
    claimed = caption.movement_direction
    walks = subject is not None and claims_walking(caption)
    moves = claimed not in (MovementDirection.NONE, MovementDirection.STILL)
    along, depth = _against_direction(claimed, subject) if subject else (None, None)
    return {
        "claimed_walk_travel": subject.travel_heads if subject and walks else None,
        "claimed_walk_scale": abs(subject.scale_per_s) * duration_s if subject and walks else None,
        "claimed_movement_travel": subject.travel_heads if subject and moves else None,
        "claimed_movement_scale": abs(subject.scale_per_s) if subject and moves else None,
        "claimed_movement_opposite": along,
        "claimed_depth_opposite": depth,
        "claimed_stillness_travel": subject.travel_heads if subject and claimed is MovementDirection.STILL else None,
    }


def _against_direction(claimed: MovementDirection, subject: SubjectMotion) -> tuple[float | None, float | None]:
    """How fast the face goes against a claimed direction in the picture, and against a claimed approach or retreat."""
    along = {
        MovementDirection.LEFT: subject.dx_per_s,
        MovementDirection.RIGHT: -subject.dx_per_s,
        MovementDirection.UP: subject.dy_per_s,
        MovementDirection.DOWN: -subject.dy_per_s,
    }
    depth = {
        MovementDirection.TOWARDS_CAMERA: -subject.scale_per_s,
        MovementDirection.AWAY_FROM_CAMERA: subject.scale_per_s,
    }
    return along.get(claimed), depth.get(claimed)


def _people_claims(caption: Caption, clip: Clip) -> dict[str, float | None]:
    """How many people were followed beyond those claimed, in the human pool only, where faces are people's; and how
    many more are claimed than were followed, in a portrait."""
    claimed, seen = caption.num_people, clip.num_people
    missed = seen - claimed if claimed is not None and seen is not None and clip.pool is Pool.HUMAN else None
    unseen = claimed - seen if claimed and seen and clip.shot_type is ShotType.PORTRAIT else None
    return {
        "claimed_people_missed": missed if claimed else None,
        "claimed_nobody_missed": None if claimed else missed,
        "claimed_people_unseen": unseen,
    }


def _mouth_change(clip: Clip) -> float | None:
    """How much the mouth changes, where nothing is heard.

    Silent video of somebody who talks is no contradiction, so the mouth decides.
    """
    change = clip.scores.get("subject_mouth_change")
    silent = not clip.has_audio or clip.audio_type is AudioType.NONE
    return change if silent and isinstance(change, float) else None
