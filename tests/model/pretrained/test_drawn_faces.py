"""The network that comes with Soul: whole, small, and speaking without being told anything."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
import soundfile

from model.__main__ import main
from model.media.portrait import load_image
from model.weights.directory import check_model_directory
from model.weights.examples import read_examples
from model.weights.files import locate
from model.weights.source import SHIPPED, SHIPPED_DIRECTORY, is_shipped

MOST_BYTES = 20_000_000


def test_it_is_whole_and_small() -> None:
    check_model_directory(SHIPPED_DIRECTORY)
    assert sum(file.stat().st_size for file in SHIPPED_DIRECTORY.rglob("*") if file.is_file()) < MOST_BYTES
    assert (SHIPPED_DIRECTORY / "codebook.safetensors").is_file()


def test_its_name_is_found_unless_a_directory_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(SHIPPED) == SHIPPED_DIRECTORY
    assert is_shipped(SHIPPED)
    (tmp_path / SHIPPED).mkdir()
    assert locate(SHIPPED) == Path(SHIPPED)
    assert not is_shipped(SHIPPED)


def test_its_examples_can_be_used() -> None:
    examples = read_examples(SHIPPED)
    assert len({example.name for example in examples}) == len(examples) == 2
    for example in examples:
        image = load_image(example.image)
        assert image.width == image.height >= 160
        assert 3 < soundfile.info(example.audio).duration < 10
        assert example.prompt.startswith("a person with")


def test_it_speaks_what_it_is_given_and_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech, out = tmp_path / "speech.wav", tmp_path / "video.mp4"
    samples, rate_hz = soundfile.read(read_examples(SHIPPED)[0].audio)
    soundfile.write(speech, samples[: round(1.2 * rate_hz)], rate_hz)
    assert main(["generate", "--audio", str(speech), "--out", str(out)]) == 0
    assert "drawn faces, not photographs" in capsys.readouterr().err
    with av.open(str(out)) as video:
        assert (video.streams.video[0].frames, video.streams.video[0].width) == (30, 160)
        assert video.streams.audio
