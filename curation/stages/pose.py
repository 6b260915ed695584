"""Shot type, number of people, and upper-body crops of full-body clips (paper, Sec. 4.1, data-pool
augmentation).

The paper tracks keypoints with MMPose and does not say where one shot type ends and the next begins; the
limits here are places on the figure of eight heads (`curation.backends.faces.figure`), which keypoints fill in where
the backend finds them (`curation.backends.pose.joint_figure`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.pose.estimator import Pose, TrackedPerson
from curation.backends.pose.joint_figure import height_on
from curation.backends.registry import POSE_ESTIMATORS
from curation.clip.crop import crop_clip
from curation.clip.observations import Box
from curation.clip.people import ClipPerson, Joint, Keypoint
from curation.clip.schema import Clip, Pool, ShotType, Source

ABOVE_THE_LEGS = (
    Joint.LEFT_SHOULDER,
    Joint.RIGHT_SHOULDER,
    Joint.LEFT_ELBOW,
    Joint.RIGHT_ELBOW,
    Joint.LEFT_HIP,
    Joint.RIGHT_HIP,
)
"""Joints that an upper-body crop leaves room for on either side. Hands are not among them: arms spread wide would make
a crop as large as the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseConfig:
    """What counts as a person, where shot types end, and when a crop is made."""

    backend: str = "face_geometry"
    """Pose estimator: `face_geometry` (no weights). MMPose in the paper."""
    min_person_share: float = 0.3
    """Share of the keyframes on which somebody must be seen to be counted, (0, 1]. Measured on labelled
    clips: false faces last one or two keyframes of ten; people who turn away are still found on a third."""
    portrait_below_heads: float = 2.0
    """A picture that ends less than this many head heights below the crown is a portrait: head and shoulders,
    above the nipples of the eight-head figure."""
    full_body_from_heads: float = 7.0
    """A picture that ends at least this far below the crown shows the full body: half-way between knees (6)
    and soles (8), as far as possible from either when the head is measured 10 % wrong."""
    crop_from_heads: float = 0.5
    """Room above the crown in an upper-body crop, in head heights [our choice]."""
    crop_to_heads: float = 4.0
    """Where an upper-body crop ends, in head heights below the crown: the crotch of the eight-head figure."""
    crop_half_width_heads: float = 1.6
    """Room to each side of the middle of the head, in head heights: shoulders reach 1, elbows about 1.5. Where the
    backend finds joints, the crop also holds shoulders, elbows and hips that reach further, with `crop_from_heads`
    beside them."""
    min_short_edge_px: int = 480
    """A crop is made when its short edge in source pixels is above this (paper, Sec. 4.1)."""

    def __post_init__(self) -> None:
        if not 0.0 < self.min_person_share <= 1.0:
            raise ValueError(f"min_person_share must be in (0, 1], not {self.min_person_share}")
        if not 1.0 <= self.portrait_below_heads < self.full_body_from_heads <= 8.0:
            raise ValueError(
                "portrait_below_heads and full_body_from_heads must rise within 1 to 8, not "
                f"{self.portrait_below_heads} and {self.full_body_from_heads}"
            )
        if not self.portrait_below_heads <= self.crop_to_heads < self.full_body_from_heads:
            raise ValueError(f"crop_to_heads must be that of an upper body, not {self.crop_to_heads}")
        if self.crop_from_heads < 0 or self.crop_half_width_heads <= 0 or self.min_short_edge_px < 0:
            raise ValueError("the room around a crop and its least size must not be negative")


class PoseStage:
    """Label every kept clip and add a clip for each upper-body crop that can be made."""

    def __init__(self, config: PoseConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.estimator = POSE_ESTIMATORS.build(config.backend, models)

    def __call__(self, source: Source) -> Source:
        """The source with its clips labelled; a crop follows the clip that it was cut from."""
        clips: list[Clip] = []
        for clip in source.clips:
            clips.extend(self._label_and_crop(clip) if clip.kept else [clip])
        return replace(source, clips=tuple(clips))

    def _label_and_crop(self, clip: Clip) -> list[Clip]:
        clip, person = self._label(clip)
        if person is None or clip.shot_type is not ShotType.FULL_BODY or clip.pool is not Pool.HUMAN:
            return [clip]
        box = self.upper_body(person, clip.width, clip.height)
        if box is None:
            return [clip]
        short_edge = min(box.width * clip.width, box.height * clip.height)
        clip = clip.with_scores(pose_crop_short_edge_px=round(short_edge))
        if short_edge <= self.config.min_short_edge_px:
            return [clip]
        cropped, _ = self._label(crop_clip(clip, box, f"{clip.key}-crop"))
        return [clip, replace(cropped, shot_type=ShotType.UPPER_BODY)]

    def _label(self, clip: Clip) -> tuple[Clip, TrackedPerson | None]:
        """The clip with shot type and people, and its main person."""
        least = self.config.min_person_share * len(clip.keyframes)
        people = [p for p in join_fragments(self.estimator.people(clip)) if len(p.times_s) >= least]
        # The person whose head covers most of the picture for longest.
        people.sort(key=lambda person: -sum(pose.head.area for pose in person.poses))
        labelled = replace(clip, num_people=len(people), people=_with_joints(people))
        if not people:
            return replace(labelled, shot_type=ShotType.NONE).with_scores(pose_visible_heads=None), None
        heads = float(np.median([pose.visible_heads for pose in people[0].poses]))
        labelled = replace(labelled, shot_type=self.shot_type(heads))
        return labelled.with_scores(pose_visible_heads=heads), people[0]

    def shot_type(self, visible_heads: float) -> ShotType:
        """The type of a shot that ends `visible_heads` below the main person's crown."""
        if visible_heads < self.config.portrait_below_heads:
            return ShotType.PORTRAIT
        if visible_heads < self.config.full_body_from_heads:
            return ShotType.UPPER_BODY
        return ShotType.FULL_BODY

    def upper_body(self, person: TrackedPerson, width: int, height: int) -> Box | None:
        """A square (narrower where the picture is) that holds the upper body at all times, on even pixels.

        None when the person moves so much that such a crop would show the full body at some time.
        """
        tops, bottoms, lefts, rights = [], [], [], []
        for pose in person.poses:
            head = pose.head.height * height
            room = self.config.crop_from_heads * head
            middle = pose.head.centre[0] * width
            beside = [keypoint.x * width for keypoint in _beside(pose)]
            tops.append(pose.head.y0 * height - room)
            bottoms.append(height_on(pose, self.config.crop_to_heads, height))
            lefts.append(min([middle - self.config.crop_half_width_heads * head, *(x - room for x in beside)]))
            rights.append(max([middle + self.config.crop_half_width_heads * head, *(x + room for x in beside)]))
        top, left, right = min(tops), min(lefts), max(rights)
        side = max(max(bottoms) - top, right - left)
        x0, x1 = _place((left + right) / 2, side, width)
        y0, y1 = _place(top + side / 2, side, height)
        if any(y1 >= height_on(pose, self.config.full_body_from_heads, height) for pose in person.poses):
            return None
        return Box(x0=x0 / width, y0=y0 / height, x1=x1 / width, y1=y1 / height)


def _beside(pose: Pose) -> list[Keypoint]:
    """The joints that are seen of those that an upper-body crop must hold."""
    return [pose.keypoints[joint] for joint in ABOVE_THE_LEGS if pose.keypoints and pose.keypoints[joint].seen]


def _with_joints(people: list[TrackedPerson]) -> tuple[ClipPerson, ...]:
    """The people as the clip keeps them: those whose joints are known."""
    return tuple(
        ClipPerson(
            times_s=person.times_s,
            boxes=tuple(pose.box for pose in person.poses),
            keypoints=tuple(pose.keypoints for pose in person.poses),
            hands=tuple(pose.hands for pose in person.poses),
        )
        for person in people
        if all(pose.keypoints for pose in person.poses)
    )


def _place(middle: float, length: float, limit: int) -> tuple[int, int]:
    """First and last even pixel of a stretch around `middle`, moved and shortened to fit into `[0,
    limit]`."""
    even = 2 * round(min(length, limit) / 2)
    even = min(even, limit - limit % 2)
    first = min(max(2 * round((middle - even / 2) / 2), 0), (limit - even) // 2 * 2)
    return first, first + even


def join_fragments(people: tuple[TrackedPerson, ...]) -> list[TrackedPerson]:
    """Join tracks of one person that were broken by a missed detection: one ends before the next begins, at most one
    head away and of similar size.
    """
    joined: list[TrackedPerson] = []
    for person in sorted(people, key=lambda p: p.times_s[0]):
        for index, earlier in enumerate(joined):
            if earlier.times_s[-1] < person.times_s[0] and _same_place(earlier, person):
                joined[index] = TrackedPerson(
                    times_s=earlier.times_s + person.times_s, poses=earlier.poses + person.poses
                )
                break
        else:
            joined.append(person)
    return joined


def _same_place(earlier: TrackedPerson, later: TrackedPerson) -> bool:
    a, b = earlier.poses[-1].head, later.poses[0].head
    near_x = abs(a.centre[0] - b.centre[0]) <= max(a.width, b.width)
    near_y = abs(a.centre[1] - b.centre[1]) <= max(a.height, b.height)
    alike = max(a.height, b.height) <= 1.5 * min(a.height, b.height)
    return near_x and near_y and alike
