"""A broken file of one sample is a line and costs that sample only what the file holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from bench.samples.sample_files import image_problem, sound_length_s
from bench.samples.samples import Sample, read_samples
from bench.samples.slices import slices_of

GOOD, BAD = "0001_human_talk_en_male", "0002_human_talk_en_female"


def write(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    for id_ in (GOOD, BAD):
        (directory / f"{id_}.json").write_text(json.dumps({"en_prompt": "A man speaks."}))
        cv2.imwrite(str(directory / f"{id_}.png"), np.random.default_rng(0).integers(0, 255, (64, 64, 3)))
        soundfile.write(directory / f"{id_}.wav", np.zeros(16_000), 16_000)
    return directory


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


BREAKS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "empty wav": (".wav", "cannot be read as sound", lambda path: path.write_bytes(b"")),
    "wav of text": (".wav", "cannot be read as sound", lambda path: path.write_text("not a sound" * 50)),
    "wav cut in its head": (".wav", "cannot be read as sound", lambda path: cut(path, 0.0005)),
    "wav without samples": (".wav", "holds no sound", lambda path: soundfile.write(path, np.zeros(0), 16_000)),
    "empty png": (".png", "cannot be read as an image", lambda path: path.write_bytes(b"")),
    "half a png": (".png", "cannot be read as an image", lambda path: cut(path, 0.5)),
    "empty json": (".json", "is not a sample", lambda path: path.write_bytes(b"")),
    "half a json": (".json", "is not a sample", lambda path: cut(path, 0.5)),
    "json of bytes": (".json", "is not a sample", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "prompt that is no text": (".json", "it is not text", lambda path: path.write_text('{"en_prompt": null}')),
}


@pytest.mark.parametrize("name", BREAKS)
def test_one_broken_file_is_one_line_and_the_others_serve(tmp_path: Path, name: str) -> None:
    suffix, message, break_it = BREAKS[name]
    break_it(write(tmp_path) / f"{BAD}{suffix}")
    said: list[str] = []
    samples = read_samples(tmp_path, said.append)
    assert list(samples) == [GOOD, BAD]
    assert len(said) == 1
    assert said[0].startswith(f"sample {BAD}: {tmp_path / BAD}{suffix} ")
    assert message in said[0]
    assert "\n" not in said[0]
    assert set(samples[BAD].problems) == {suffix}
    assert samples[GOOD].problems == {}
    assert slices_of(samples[GOOD])["duration"] == "0-10 s"
    slices = slices_of(samples[BAD])
    assert slices["gender"] == "female"
    assert slices["duration"] == ("unknown" if suffix == ".wav" else "0-10 s")
    assert slices["shot"] == "unknown"
    assert samples[BAD].prompt == ("" if suffix == ".json" else "A man speaks.")


def test_what_is_no_sample_is_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / f"._{GOOD}.json").write_bytes(b"\x00\x05\x16\x07")
    said: list[str] = []
    assert list(read_samples(tmp_path, said.append)) == [GOOD, BAD]
    assert len(said) == 1
    assert said[0].startswith("left out: ")
    assert "notes.json" in said[0]


def test_only_broken_samples_are_a_mistake(tmp_path: Path) -> None:
    write(tmp_path)
    for id_ in (GOOD, BAD):
        (tmp_path / f"{id_}.json").write_bytes(b"{")
    with pytest.raises(ValueError, match=r"0001_human_talk_en_male\.json is not a sample"):
        read_samples(tmp_path)


def test_a_byte_order_mark_and_capital_endings_are_no_trouble(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / f"{BAD}.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    for suffix in (".png", ".wav"):
        (tmp_path / f"{BAD}{suffix}").rename(tmp_path / f"{BAD}{suffix.upper()}")
    said: list[str] = []
    sample: Sample = read_samples(tmp_path, said.append)[BAD]
    assert said == []
    assert sample.prompt == "A man speaks."
    assert sample.duration_s == 1.0
    assert sample.image == tmp_path / f"{BAD}.PNG"


def test_whole_files_have_no_problem(tmp_path: Path) -> None:
    write(tmp_path)
    assert image_problem(tmp_path / f"{GOOD}.png") is None
    assert sound_length_s(tmp_path / f"{GOOD}.wav") == 1.0
    assert "No such file" in (image_problem(tmp_path / "absent.png") or "")
