"""Which clips are duplicates of which, on clips of made recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from curation.clip.observations import Box
from curation.clip.schema import Clip, Source
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import EXACT, NEAR, Found, find_duplicates
from curation.duplicates.prints import read_prints
from curation.shards.run_directory import RunDirectory
from tests.worlds.recorded_clips import recorded, scene, unit
from tests.worlds.synthetic_run import write_run


def found(folder: Path, units: list[Source], **thresholds: float) -> Found:
    write_run(str(folder), units)
    return find_duplicates(read_prints(RunDirectory(str(folder))), DuplicatesConfig(**thresholds))


def of(name: str, *clips: Clip, **changes: int) -> Source:
    return replace(unit(name, **changes), clips=clips)


def left_out(result: Found) -> dict[str, tuple[str, str]]:
    """Key of a clip that goes → the rule and the key of the one that stays, both by their file's name and number."""
    return {_short(key): (rule, _short(stays)) for key, (rule, _, stays) in result.rejected().items()}


def _short(key: str) -> str:
    name = key.partition("-")[0]
    return f"{name}crop" if key.endswith("crop") else f"{name}{int(key[-4:])}"


def test_the_same_file_under_another_name_is_found(tmp_path: Path) -> None:
    one, other = unit("one"), unit("two")
    result = found(
        tmp_path,
        [
            of("one", recorded(one, 0, 1, 0.0, mp4=b"bytes")),
            of("two", recorded(other, 0, 1, 0.0, mp4=b"bytes"), recorded(other, 1, 1, 10.0)),
        ],
    )
    assert left_out(result) == {"two0": (EXACT, "one0")}
    assert result.distance[result.is_left_out].tolist() == [0.0]


@pytest.mark.parametrize("shift_s", [0.0, 0.2, 0.52, 1.0])
def test_a_copy_that_is_noisy_scaled_and_begins_later_is_found(tmp_path: Path, shift_s: float) -> None:
    small = unit("small", 640, 360)
    copy = recorded(small, 0, 1, 5.0 + shift_s, noise=0.3, picture=cv2.resize(scene(1), (320, 180)))
    result = found(
        tmp_path,
        [of("whole", recorded(unit("whole"), 0, 1, 5.0)), replace(small, clips=(copy,))],
    )
    assert left_out(result) == {"small0": (NEAR, "whole0")}
    assert 0 < result.distance.max() <= 0.4
    assert result.pairs.shift_s.tolist() == pytest.approx([shift_s], abs=0.05)


def test_other_seconds_of_one_recording_are_no_duplicates_in_whatever_file_they_lie(tmp_path: Path) -> None:
    units = [of(f"part{n}", recorded(unit(f"part{n}"), 0, 1, 5.0 * n)) for n in range(8)]
    result = found(tmp_path, units)
    assert left_out(result) == {}
    assert result.pairs.num_compared == 28


def test_clips_of_one_file_are_not_compared(tmp_path: Path) -> None:
    whole = unit("whole")
    result = found(tmp_path, [of("whole", *(recorded(whole, n, 1, 0.0) for n in range(3)))])
    assert result.pairs.num_compared == 0


def test_a_mirrored_copy_is_no_duplicate(tmp_path: Path) -> None:
    mirrored = np.ascontiguousarray(scene(1)[:, ::-1])
    result = found(
        tmp_path,
        [
            of("whole", recorded(unit("whole"), 0, 1, 0.0)),
            of("mirrored", recorded(unit("mirrored"), 0, 1, 0.0, picture=mirrored)),
        ],
    )
    assert left_out(result) == {}


def test_another_scene_that_goes_the_same_way_is_no_duplicate(tmp_path: Path) -> None:
    result = found(
        tmp_path,
        [
            of("one", recorded(unit("one"), 0, 1, 0.0)),
            of("two", recorded(unit("two"), 0, 1, 0.0, picture=scene(2))),
        ],
    )
    assert left_out(result) == {}
    assert result.pairs.num_compared == 0


def test_blank_clips_are_duplicates_only_where_they_are_the_same_file(tmp_path: Path) -> None:
    black = np.zeros((270, 480, 3), np.uint8)
    units = [
        of(f"black{n}", recorded(unit(f"black{n}"), 0, n // 2, 0.0, picture=black, mp4=b"%d" % (n // 2)))
        for n in range(4)
    ]
    result = found(tmp_path, units)
    assert result.prints.is_blank.all()
    assert sorted(left_out(result).values()) == [(EXACT, "black00"), (EXACT, "black20")]


def test_the_largest_stays_then_the_best_then_sound_then_the_longest_then_the_key(tmp_path: Path) -> None:
    def copies(name: str, size: tuple[int, int], quality: float, *, with_sound: bool, seconds: float) -> Source:
        file = unit(name, *size)
        made = recorded(file, 0, 1, 0.0, with_sound=with_sound, seconds=seconds)
        return replace(file, clips=(made.with_scores(quality_score=quality),))

    units = {
        "large": copies("large", (1920, 1080), 10.0, with_sound=False, seconds=4.0),
        "good": copies("good", (1280, 720), 80.0, with_sound=False, seconds=4.0),
        "heard": copies("heard", (1280, 720), 60.0, with_sound=True, seconds=4.0),
        "long": copies("long", (1280, 720), 60.0, with_sound=False, seconds=5.0),
        "a": copies("a", (1280, 720), 60.0, with_sound=False, seconds=4.0),
        "b": copies("b", (1280, 720), 60.0, with_sound=False, seconds=4.0),
    }
    result = found(tmp_path, list(units.values()))
    assert [key.split("-")[0] for key in result.prints.keys] == list(units)
    assert {stays for _, stays in left_out(result).values()} == {"large0"}
    assert len(left_out(result)) == 5


def test_a_crop_is_no_duplicate_of_its_parent_but_of_the_same_crop_of_a_copy(tmp_path: Path) -> None:
    def with_crop(name: str) -> Source:
        file = unit(name)
        whole = recorded(file, 0, 1, 0.0)
        crop = recorded(
            file, 1, 1, 0.0, parent_key=whole.key, key=f"{whole.key}-crop", crop=Box(x0=0.1, y0=0.1, x1=0.9, y1=0.9)
        )
        return replace(file, clips=(whole, crop))

    result = found(tmp_path, [with_crop("one"), with_crop("two")])
    assert left_out(result) == {"two0": (NEAR, "one0"), "twocrop": (NEAR, "onecrop")}


def test_a_clip_goes_only_for_one_that_stays_and_that_it_is_a_copy_of(tmp_path: Path) -> None:
    """Each begins a second after the one before: neighbours are copies, the first and the last are not."""
    units = []
    for number, size in enumerate([(1920, 1080), (1280, 720), (960, 540), (854, 480)]):
        file = unit(f"chain{number}", *size)
        units.append(replace(file, clips=(recorded(file, 0, 1, 1.4 * number),)))
    result = found(tmp_path, units)
    assert left_out(result) == {"chain10": (NEAR, "chain00"), "chain30": (NEAR, "chain20")}


def test_a_copy_of_a_clip_that_goes_goes_for_the_one_that_stays(tmp_path: Path) -> None:
    units = [
        of("large", recorded(unit("large"), 0, 1, 0.0)),
        *(
            replace(file, clips=(recorded(file, 0, 1, 0.2, mp4=b"twice"),))
            for file in (unit("small1", 640, 480), unit("small2", 640, 480))
        ),
    ]
    result = found(tmp_path, units)
    assert left_out(result) == {"small10": (NEAR, "large0"), "small20": (NEAR, "large0")}


def test_rejected_clips_are_not_looked_at(tmp_path: Path) -> None:
    file = unit("two")
    rejected = replace(recorded(file, 0, 1, 0.0), payload=None).reject("faces", "presence", 0.1, 0.5)
    result = found(tmp_path, [of("one", recorded(unit("one"), 0, 1, 0.0)), replace(file, clips=(rejected,))])
    assert len(result.prints.keys) == 1


def test_the_same_is_found_whatever_the_order_of_files(tmp_path: Path) -> None:
    units = [of(f"f{n}", recorded(unit(f"f{n}"), 0, n % 3, 0.1 * n, noise=0.2)) for n in range(9)]
    one = found(tmp_path / "one", units)
    other = found(tmp_path / "other", units[::-1])
    assert one.rejected() == other.rejected()
    assert len(one.rejected()) == 6


@pytest.mark.parametrize("wrong", [{"max_distance": 0.0}, {"max_shift_s": 11.0}, {"min_look": 1.0}])
def test_impossible_thresholds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        DuplicatesConfig(**wrong)
