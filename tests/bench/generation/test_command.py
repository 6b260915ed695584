"""Videos of samples: made once, made again when what they follow from changes, and never by accident."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.samples.samples import read_samples, read_videos
from curation.media import frame_times
from model.generation.make_video import VideoInputs
from tests.worlds.generation_samples import BAD, NO_SOUND, ONE, TWO, generate, write_samples
from tests.worlds.pipelines import noise, picture, small_pipeline, write_wav


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "model"
    small_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("prepared") / "samples")


@pytest.fixture
def samples(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "samples"))


def states(out: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in out.glob("*.mp4")}


@pytest.fixture(scope="module")
def made(model: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples' videos by the model."""
    out = tmp_path_factory.mktemp("made") / "videos"
    assert generate(model, prepared, out) == 0
    return out


@pytest.fixture
def videos(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may spoil; a file keeps its time."""
    return Path(shutil.copytree(made, tmp_path / "videos"))


def test_every_whole_sample_has_a_video_as_long_as_its_sound(
    model: Path, videos: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert states(videos).keys() == {ONE, TWO}
    assert [len(frame_times(str(videos / f"{id_}.mp4"))) for id_ in (ONE, TWO)] == [8, 10]
    assert read_videos(videos, read_samples(samples))[ONE] == videos / f"{ONE}.mp4"
    record = json.loads((videos / f"{ONE}.made.json").read_text())
    assert (record["prompt"], record["num_frames"], record["fps"]) == ("Person 0 speaks.", 8, 25)
    capsys.readouterr()
    assert generate(model, samples, videos) == 0
    said = capsys.readouterr().err.replace("\n", "")
    assert f"1 samples that have no sound: {NO_SOUND}" in said
    assert f"{BAD}: " in said
    assert "is not an image that can be read" in said


def test_a_sample_whose_text_cannot_be_read_is_named_and_its_video_stays(
    model: Path, samples: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = states(videos)
    (samples / f"{ONE}.json").write_bytes(b"{")
    assert generate(model, samples, videos) == 0
    said = capsys.readouterr().err
    assert f"sample {ONE}: {samples / ONE}.json is not a sample" in said
    assert f"1 samples that have no prompt that can be read: {ONE}" in said
    assert states(videos) == before


def test_an_exception_that_nobody_expected_of_one_sample_leaves_the_others(
    model: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = VideoInputs.read

    def read(image: Path, audio: Path, prompt: str) -> VideoInputs:
        if audio.stem == ONE:
            raise AttributeError("[/i] no such track")
        return whole(image, audio, prompt)

    monkeypatch.setattr(VideoInputs, "read", read)
    out = tmp_path / "out"
    assert generate(model, samples, out) == 0
    assert states(out).keys() == {TWO}
    assert f"{ONE}: internal error: AttributeError: [/i] no such track" in capsys.readouterr().err
    assert (out / "errors.log").read_text().startswith(f"{ONE}\nTraceback")


def test_run_again_it_makes_nothing_that_is_there(model: Path, samples: Path, videos: Path) -> None:
    before = states(videos)
    assert generate(model, samples, videos) == 0
    assert states(videos) == before


def test_other_settings_make_every_video_again(model: Path, samples: Path, videos: Path) -> None:
    before = states(videos)
    assert generate(model, samples, videos, "--seed", "7") == 0
    assert all(states(videos)[id_] != before[id_] for id_ in (ONE, TWO))


CHANGES: dict[str, Callable[[Path], object]] = {
    "prompt": lambda d: (d / f"{ONE}.json").write_text(json.dumps({"en_prompt": "A person sings."})),
    "image": lambda d: picture(96, 64).save(d / f"{ONE}.png"),
    "sound": lambda d: write_wav(d / f"{ONE}.wav", noise(0.3, seed=9)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_sample_is_made_again_and_no_other(model: Path, samples: Path, videos: Path, name: str) -> None:
    before = states(videos)
    CHANGES[name](samples)
    assert generate(model, samples, videos) == 0
    assert states(videos)[ONE] != before[ONE]
    assert states(videos)[TWO] == before[TWO]


def test_a_model_that_was_trained_further_makes_every_video_again(samples: Path, tmp_path: Path) -> None:
    pipeline, out = small_pipeline(), tmp_path / "videos"
    pipeline.save_pretrained(tmp_path / "model")
    assert generate(tmp_path / "model", samples, out) == 0
    before = states(out)
    with torch.no_grad():
        next(pipeline.transformer.parameters()).add_(0.01)
    pipeline.save_pretrained(tmp_path / "model")
    assert generate(tmp_path / "model", samples, out) == 0
    assert all(states(out)[id_] != before[id_] for id_ in (ONE, TWO))


def test_a_mistake_in_the_options_leaves_what_is_there(
    model: Path, samples: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = states(videos)
    assert generate(model, samples, videos, "--threshold", "1") == 2
    assert "needs a codebook" in capsys.readouterr().err.splitlines()[-1]
    assert states(videos) == before


def test_videos_that_were_not_made_here_are_left_alone(
    model: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / f"{TWO}.mp4").write_bytes(b"somebody's work")
    assert generate(model, samples, theirs) == 2
    assert "was not made by this command: give another --out" in capsys.readouterr().err
    assert (theirs / f"{TWO}.mp4").read_bytes() == b"somebody's work"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/absent",), "no such directory"),
        (("soul-5b",), "random weights of this size"),
        (("tiny", "--steps", "0"), "--steps must be at least 1"),
        (("tiny", "--codebook", "/absent.safetensors"), "no such codebook"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], message: str, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, *more = words
    assert generate(model, samples, tmp_path / "videos", *more) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
