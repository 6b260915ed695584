"""Shot types, people and motion on the labelled real clips; run with `-s` to see the tables."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest

from curation.clip.caption import CameraMovement, MovementDirection
from curation.clip.motion import CameraMotion
from curation.clip.schema import Clip, ShotType, Source
from curation.stages.caption import CaptionConfig, CaptionStage
from curation.stages.consistency import ConsistencyConfig, ConsistencyFilter
from curation.stages.motion import MotionConfig, MotionStage
from curation.stages.pose import PoseConfig, PoseStage
from tests.worlds.people_clips import SHARED, LabelledClip, labelled_clips

pytestmark = [
    pytest.mark.clips,
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "clips" / "labels.json").exists(), reason="needs SOUL_SHARED"),
]

P, U, F, N = ShotType.PORTRAIT, ShotType.UPPER_BODY, ShotType.FULL_BODY, ShotType.NONE

PER_SHOT: dict[tuple[str, int], tuple[set[ShotType], int | None]] = {
    # The label's text tells these shots apart; the last shot's type is left open.
    ("pyscenedetect-goldeneye-vfr-drop3", 0): ({N}, 0),
    ("pyscenedetect-goldeneye-vfr-drop3", 1): ({N}, 0),
    ("pyscenedetect-goldeneye-vfr-drop3", 2): ({U}, 2),
    ("pyscenedetect-issue-195-aspect-ratio", 0): ({N}, 0),
    ("pyscenedetect-issue-195-aspect-ratio", 1): ({N}, 0),
    ("pyscenedetect-issue-195-aspect-ratio", 2): ({U}, 2),
    ("pyscenedetect-issue-195-aspect-ratio", 3): ({N}, 0),
    ("pyscenedetect-issue-195-aspect-ratio", 4): ({N}, 0),
    ("pyscenedetect-issue-195-aspect-ratio", 5): ({P, U, F}, 1),
    ("facenet-pytorch-video", 0): ({F, U}, 20),
}

KNOWN_WRONG = {
    # Chest-up shots that end 1.7 and 1.9 head heights below the crown, called "upper" by eye.
    ("liveportrait-s18", 0, "shot"),
    ("liveportrait-s32", 0, "shot"),
    # A profile whose face box is a third too large.
    ("pyscenedetect-goldeneye-vfr-drop3", 2, "shot"),
    # A face drawn on a computer screen is a face to dlib.
    ("pyscenedetect-goldeneye-vfr-drop3", 0, "shot"),
    ("pyscenedetect-goldeneye-vfr-drop3", 0, "people"),
    ("pyscenedetect-goldeneye-vfr-drop3", 1, "shot"),
    ("pyscenedetect-goldeneye-vfr-drop3", 1, "people"),
    # No face in the picture (chin down only; hands only): nothing for a face detector.
    ("data-juicer-video2", 0, "shot"),
    ("data-juicer-video2", 0, "people"),
    ("pyscenedetect-issue-195-aspect-ratio", 5, "shot"),
    ("pyscenedetect-issue-195-aspect-ratio", 5, "people"),
    # A crowd whose faces are 20 to 27 pixels high on the keyframes.
    ("facenet-pytorch-video", 0, "people"),
}


def expected(item: LabelledClip) -> tuple[set[ShotType], int | None]:
    """The shot types that the label allows, and the number of people."""
    stem = item.label["file"].split("/")[1].rsplit(".", 1)[0]
    if (stem, item.shot) in PER_SHOT:
        return PER_SHOT[stem, item.shot]
    text = item.label["shot_type"]
    words = {"portrait": P, "upper": U, "full": F, "none": N}
    types = {shot_type for word, shot_type in words.items() if text.split(" (")[0].find(word) >= 0}
    return types - ({N} if "no face" in text else set()), int(item.label["people"].split()[0])


@pytest.fixture(scope="module")
def items() -> list[LabelledClip]:
    return labelled_clips()


@pytest.fixture(scope="module")
def labelled(items: list[LabelledClip]) -> list[Clip]:
    stage = PoseStage(PoseConfig())
    return [stage(Source(uri=item.clip.source, clips=(item.clip,))).clips[0] for item in items]


def test_shot_types_and_people(items: list[LabelledClip], labelled: list[Clip]) -> None:
    confusion: Counter[tuple[str, str]] = Counter()
    wrong = set()
    people_right = 0
    for item, clip in zip(items, labelled, strict=True):
        stem = item.label["file"].split("/")[1].rsplit(".", 1)[0]
        types, people = expected(item)
        assert clip.shot_type is not None
        name = "/".join(sorted(t.value for t in types))
        confusion[name, clip.shot_type.value] += 1
        if clip.shot_type not in types:
            wrong.add((stem, item.shot, "shot"))
        if clip.num_people != people:
            wrong.add((stem, item.shot, "people"))
        people_right += clip.num_people == people
        heads = clip.scores["pose_visible_heads"]
        print(f"{stem}:{item.shot} {name} -> {clip.shot_type} ({heads}), {people} -> {clip.num_people}")
    print(dict(confusion), f"people right: {people_right} of {len(items)}")
    print("wrong:", *sorted(wrong), sep="\n  ")
    assert wrong <= KNOWN_WRONG


def test_the_full_body_clip_is_cropped(items: list[LabelledClip]) -> None:
    stage = PoseStage(PoseConfig())
    crops = [crop for item in items for crop in stage(Source(uri=item.clip.source, clips=(item.clip,))).clips[1:]]
    (crop,) = crops
    assert crop.parent_key == "liveportrait-s13"
    assert crop.shot_type is U
    assert min(crop.width, crop.height) > 480
    assert len(crop.tracks[0].faces) == len(crop.keyframes)


def test_measured_captions_are_consistent_and_say_what_is_seen(labelled: list[Clip]) -> None:
    motion, caption = MotionStage(MotionConfig()), CaptionStage(CaptionConfig())
    consistency = ConsistencyFilter(ConsistencyConfig())
    spent: dict[str, float] = {}
    result: dict[str, Clip] = {}
    for clip in labelled:
        for stage in (motion, caption, consistency):
            start = time.process_time()
            clip = stage(clip)  # noqa: PLW2901
            name = type(stage).__name__
            spent[name] = spent.get(name, 0.0) + time.process_time() - start
        assert clip.kept
        assert clip.caption is not None
        result[f"{clip.key}@{clip.start_s:.0f}"] = clip
        print(clip.key, "|", clip.caption.camera_movement, "|", clip.caption.detailed)
    print("CPU seconds a clip:", {name: round(s / len(labelled), 4) for name, s in spent.items()})

    still = result["derived-still_image_speech@0"]
    assert still.caption is not None
    assert still.caption.camera_movement is CameraMovement.STATIC
    assert still.caption.movement_direction is MovementDirection.STILL
    change = still.scores["subject_mouth_change"]
    assert isinstance(change, float)
    assert change < 1.0
    panned = replace(still, caption=still.caption.model_copy(update={"camera_movement": CameraMovement.PAN_LEFT}))
    rejection = consistency(panned).rejection
    assert rejection is not None
    assert rejection.rule == "moving_camera_on_static_shot"
    walking = replace(still, caption=still.caption.model_copy(update={"brief": "A man walks to work."}))
    rejection = consistency(walking).rejection
    assert rejection is not None
    assert rejection.rule == "walking_without_displacement"

    # Unsteady by eye: the wall wanders behind the speaker.
    camera = CameraMotion.of(result["liveportrait-s32@1"])
    assert camera is not None
    assert camera.speed_per_s > 0.02
