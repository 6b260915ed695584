"""Which files are a method's videos, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.samples.samples import Sample, read_videos
from bench.samples.video_files import SUFFIXES, video_files

ONE, TWO, THREE = (f"{number:04d}_human_talk_en_male" for number in (1, 2, 3))
SAMPLES = {id_: Sample(id=id_, prompt="") for id_ in (ONE, TWO, THREE)}


def put(directory: Path, *names: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(b"")
    return directory


def read(directory: Path) -> tuple[dict[str, str | None], list[str]]:
    """Names of the files found, and what was said."""
    said: list[str] = []
    found = read_videos(directory, SAMPLES, said.append)
    return {id_: None if path is None else path.name for id_, path in found.items()}, said


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".MP4", ".Mov", ".WEBM"])
def test_usual_endings_are_found_in_small_and_capital_letters(tmp_path: Path, suffix: str) -> None:
    found, said = read(put(tmp_path / "v", *(f"{id_}{suffix}" for id_ in SAMPLES)))
    assert found == {id_: f"{id_}{suffix}" for id_ in SAMPLES}
    assert said == []


def test_of_two_files_of_one_sample_one_is_taken_and_named(tmp_path: Path) -> None:
    files = (f"{ONE}.MP4", f"{ONE}.mp4", f"{ONE}.webm", f"{TWO}.webm", f"{TWO}.MOV", f"{THREE}.mkv")
    found, said = read(put(tmp_path / "v", *files))
    assert found == {ONE: f"{ONE}.mp4", TWO: f"{TWO}.MOV", THREE: f"{THREE}.mkv"}
    assert said == [
        f"{tmp_path / 'v'}: {ONE}.mp4 is taken for sample {ONE}, and not {ONE}.MP4, {ONE}.webm",
        f"{tmp_path / 'v'}: {TWO}.MOV is taken for sample {TWO}, and not {TWO}.webm",
    ]


def test_files_that_may_have_been_meant_are_counted(tmp_path: Path) -> None:
    directory = put(tmp_path / "v", f"{ONE}.mp4", f"{TWO}.part.mp4", f"{THREE}.gif", "0003.mp4", f".{TWO}.mp4")
    put(directory, f"{ONE}.made.json", "errors.log")
    (directory / f"{TWO}.mp4").mkdir()
    found, said = read(directory)
    assert found == {ONE: f"{ONE}.mp4", TWO: None, THREE: None}
    assert len(said) == 1
    assert "2 of the samples without a video, but 3 other files are there" in said[0]
    for part in ("1 half-written", "1 .gif", "1 of no sample", ".mp4, .mov"):
        assert part in said[0]


def test_videos_of_other_samples_alone_are_nothing_to_say(tmp_path: Path) -> None:
    other = "0099_human_talk_en_male.mp4"
    assert read(put(tmp_path / "v", *(f"{id_}.mp4" for id_ in SAMPLES), other))[1] == []
    assert read(put(tmp_path / "w", f"{ONE}.mp4"))[1] == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "holds no video of these samples; no other file is there"),
        ((f"{ONE}.gif", f"{TWO}.gif"), r"2 other files are there \(2 \.gif\)"),
        ((f"{ONE}.part.mp4",), r"1 other file is there \(1 half-written\)"),
    ],
)
def test_a_directory_without_videos_says_what_is_taken_and_what_is_there(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(put(tmp_path / "v", *names))
    assert "one of .mp4, .mov" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(ValueError, match="no directory of videos"):
            video_files(path, SAMPLES)
