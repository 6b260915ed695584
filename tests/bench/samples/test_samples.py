from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.samples.samples import read_sample, read_samples, read_videos


def write_sample(directory: Path, id_: str, *, seconds: float | None = 2.0) -> Path:
    path = directory / f"{id_}.json"
    path.write_text(json.dumps({"en_prompt": "A man speaks.", "cn_prompt": "男人", "message": "Hello", "age": 40}))
    if seconds is not None:
        soundfile.write(path.with_suffix(".wav"), np.zeros(round(16_000 * seconds), np.float32), 16_000)
    return path


def test_sample_and_what_its_id_tells(tmp_path: Path) -> None:
    sample = read_sample(write_sample(tmp_path, "0012_comic_sing_cn_unknown", seconds=12.0))
    assert (sample.prompt, sample.message, sample.attributes) == ("A man speaks.", "Hello", {"age": 40})
    assert sample.image is None
    assert (sample.category, sample.mode, sample.language, sample.gender) == ("comic", "sing", "cn", "unknown")
    assert sample.duration_s == 12.0


@pytest.mark.parametrize("name", ["0012_human_dance_en_male", "0012_human_talk_en", "portrait"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a sample id"):
        read_sample(write_sample(tmp_path, name))


@pytest.mark.parametrize("text", ["{", "[]", '{"message": "no prompt"}', '"text"'])
def test_broken_json_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = write_sample(tmp_path, "0001_human_talk_en_male")
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a sample"):
        read_samples(tmp_path)


def test_videos_of_a_method(tmp_path: Path) -> None:
    for id_ in ("0002_human_talk_en_male", "0001_human_talk_en_male"):
        write_sample(tmp_path, id_)
    samples = read_samples(tmp_path)
    assert list(samples) == ["0001_human_talk_en_male", "0002_human_talk_en_male"]
    videos = tmp_path / "videos"
    videos.mkdir()
    with pytest.raises(ValueError, match="holds no video of these samples"):
        read_videos(videos, samples)
    (videos / "0002_human_talk_en_male.mp4").write_bytes(b"")
    found = read_videos(videos, samples)
    assert found["0001_human_talk_en_male"] is None
    assert found["0002_human_talk_en_male"] == videos / "0002_human_talk_en_male.mp4"
    with pytest.raises(ValueError, match="no directory"):
        read_samples(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no samples"):
        read_samples(videos)


@pytest.mark.clips
def test_public_samples(shared: Path) -> None:
    samples = read_samples(shared / "soul-bench" / "samples")
    assert len(samples) == 7
    assert {sample.mode for sample in samples.values()} == {"talk", "sing"}
    assert len(read_samples(shared / "soul-bench" / "prompts")) == 226
