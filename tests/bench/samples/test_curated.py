"""Samples out of a curated run."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import soundfile

from bench.__main__ import main
from bench.samples.curated import REAL, in_order
from bench.samples.samples import read_samples, read_videos
from curation.encoding.encoded import held_out_order
from curation.media import iter_frames, probe
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import SCHEMA, State, Version, VersionInfo
from tests.worlds.moving_mouth import RATE_HZ, frames, syllables, voice, write_video
from tests.worlds.synthetic_run import write_playable_run

SECONDS = 1.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("curated")
    loudness = syllables(SECONDS, 0)
    write_video(folder / "clip.mp4", frames(loudness, SECONDS), voice(loudness))
    wav = io.BytesIO()
    soundfile.write(wav, voice(loudness), RATE_HZ, format="WAV")
    return write_playable_run(str(folder / "run"), (folder / "clip.mp4").read_bytes(), wav.getvalue())


def test_clips_with_sound_become_samples_and_methods(run: str, tmp_path: Path) -> None:
    assert main(["samples", "--run", run, "--out", str(tmp_path / "samples")]) == 0
    samples = read_samples(tmp_path / "samples")
    assert {sample.mode for sample in samples.values()} == {"talk", "sing"}, "a crop is the same sound once more"
    real = read_videos(tmp_path / "samples" / REAL, samples)
    for id_, sample in samples.items():
        video = real[id_]
        assert video is not None
        assert sample.image is not None
        assert sample.audio is not None
        first = next(iter_frames(str(video))).image
        assert np.array_equal(np.asarray(cv2.imread(str(sample.image))), first)
        assert probe(str(video)).audio_codec == "aac"
        assert sample.duration_s == pytest.approx(SECONDS, abs=0.05)
    sung = next(sample for sample in samples.values() if sample.mode == "sing")
    assert sung.prompt == "A person walks to the left."


def test_samples_keep_their_numbers_when_more_are_taken(run: str, tmp_path: Path) -> None:
    out = tmp_path / "samples"
    assert main(["samples", "--run", run, "--out", str(out), "--most", "1"]) == 0
    (first,) = out.glob("*.json")
    before = first.read_text(), first.stat().st_mtime_ns
    assert main(["samples", "--run", run, "--out", str(out)]) == 0
    assert len(list(out.glob("*.json"))) == 2
    assert (first.read_text(), first.stat().st_mtime_ns) == before


def test_a_version_of_the_run_says_what_is_kept(run: str, tmp_path: Path) -> None:
    copy, (taken, left) = str(tmp_path / "run"), (tmp_path / "taken", tmp_path / "left")
    shutil.copytree(run, copy)
    assert main(["samples", "--run", copy, "--out", str(taken), "--most", "1"]) == 0
    (sample,) = taken.glob("*.json")
    rejected = json.loads(sample.read_text())["clip"]
    directory = RunDirectory(copy)
    rows = [row | {"shard": shard} for shard in directory.names() for row in directory.rows_of(shard).to_pylist()]
    for row in rows:
        row["kept"], row["audio_kept"] = (row[name] and row["key"] != rejected for name in ("kept", "audio_kept"))
        row["state"] = State.KEPT if row["kept"] else State.REJECTED
    info = VersionInfo(config_hash="strict", settings={}, changes={}, written="", counts={})
    Version(copy, "strict").write(pa.Table.from_pylist(rows, SCHEMA), info)
    assert main(["samples", "--run", copy, "--decisions", "strict", "--out", str(left)]) == 0
    clips = {json.loads(path.read_text())["clip"] for path in left.glob("*.json")}
    assert clips
    assert rejected not in clips


def test_sources_that_are_held_out_come_first_and_each_once_before_any_twice() -> None:
    rows = [{"key": f"{source}-{index}", "source": source} for source in "abcdef" for index in range(3)]
    ordered = in_order(rows)
    assert [row["source"] for row in ordered[:6]] == held_out_order("abcdef")
    assert [row["key"][-1] for row in ordered] == ["0"] * 6 + ["1"] * 6 + ["2"] * 6


def test_a_damaged_clip_is_a_line_and_the_others_become_samples(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, damaged = RunDirectory.sample, []

    def sample(directory: RunDirectory, shard: str, key: str) -> dict[str, bytes]:
        files = whole(directory, shard, key)
        damaged.append(key)
        return {**files, "mp4": b"no video"} if key == damaged[0] else files

    monkeypatch.setattr(RunDirectory, "sample", sample)
    out = tmp_path / "samples"
    assert main(["samples", "--run", run, "--out", str(out)]) == 0
    heard = capsys.readouterr()
    assert f"left out: clip {damaged[0]} in shard " in heard.err
    assert "1 samples of" in heard.out
    assert len(read_samples(out)) == 1
    assert {path.suffix for path in out.glob("*.*")} == {".json", ".png", ".wav"}
    assert len(list((out / REAL).iterdir())) == 1


def test_mistakes_are_one_line(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "--run", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0001_human_talk_en_male.json").write_text(json.dumps({"en_prompt": "A man talks."}))
    assert main(["samples", "--run", run, "--out", str(tmp_path / "other")]) == 2
    assert "was not made by this command" in capsys.readouterr().err
