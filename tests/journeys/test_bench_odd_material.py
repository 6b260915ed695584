"""Whole evaluations of odd and broken material: every row's reason is true, and the report is always written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.rows import Row, RowStore
from tests.paths import ROOT
from tests.worlds.bench_samples import SECONDS, TALKING, around_the_face, portrait
from tests.worlds.evaluations import measure_cheaply
from tests.worlds.moving_mouth import frames, syllables, voice, write_video
from tests.worlds.odd_videos import flat, write_odd, write_without_frames

METRICS = ("appearance", "av_align", "mouth_sync", "identity_colour")
CASES = {
    "apac_true.mov": 110,
    "rate_change.ts": 108,
    "live.webm": 110,
    "two_sounds.mkv": 110,
    "generate/apac.mov": None,
    "elementary.h264": None,
}
"""Real files of odd kinds → frames at times of their own, where they are known (two parts joined share two times)."""


@pytest.fixture(autouse=True)
def cheap_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of motion, which is not what these tests are about."""
    measure_cheaply(monkeypatch)


def write_samples(folder: Path, num: int) -> list[str]:
    folder.mkdir(parents=True)
    ids = [f"{number:04d}_human_talk_en_female" for number in range(1, num + 1)]
    for id_ in ids:
        (folder / f"{id_}.json").write_text(json.dumps({"en_prompt": "A woman talks."}))
        cv2.imwrite(str(folder / f"{id_}.png"), portrait())
    return ids


def evaluate(samples: Path, videos: Path, out: Path, *more: str, metrics: Sequence[str] = METRICS) -> int:
    common = ["--samples", str(samples), "--videos", f"ours={videos}", "--out", str(out)]
    return main(["evaluate", *common, "--metrics", *metrics, *more])


def table(out: Path) -> dict[tuple[str, str], Row]:
    return {(row.sample, row.metric): row for row in RowStore(out).read() if not row.control}


def test_odd_videos_have_values_or_true_reasons(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    ids = write_samples(tmp_path / "samples", 8)
    loudness = syllables(SECONDS, 0)
    talk, speech = around_the_face(frames(loudness, SECONDS)), voice(loudness)
    write_odd(tmp_path / "v" / f"{ids[0]}.webm", talk, speech, codec="libvpx", live=True)
    write_video(tmp_path / "plain.mp4", talk, speech).rename(tmp_path / "v" / f"{ids[1]}.MP4")
    write_without_frames(tmp_path / "v" / f"{ids[2]}.mp4")
    write_video(tmp_path / "v" / f"{ids[3]}.mp4", talk[:1], speech[:640])
    (tmp_path / "v" / f"{ids[4]}.mov").write_bytes(b"")
    write_video(tmp_path / "v" / f"{ids[5]}.part.mp4", talk, speech)
    write_odd(tmp_path / "v" / f"{ids[6]}.mkv", talk[:24], speech, times_s=[0.1 * index for index in range(24)])
    (tmp_path / "v" / f"{ids[7]}.mp4").mkdir()
    assert evaluate(tmp_path / "samples", tmp_path / "v", tmp_path / "out") == 0
    rows = table(tmp_path / "out")
    reasons = {id_: [rows[id_, metric].reason for metric in METRICS] for id_ in ids}
    assert reasons == {
        ids[0]: [None] * 4,
        ids[1]: [None] * 4,
        ids[2]: ["undecodable"] * 4,
        # Of one frame a motion cannot be told, and colour can.
        ids[3]: ["too short", "too short", "too short", None],
        ids[4]: ["empty file"] * 4,
        ids[5]: ["missing"] * 4,
        ids[6]: [None] * 4,
        ids[7]: ["missing"] * 4,
    }
    assert (
        len(rows[ids[0], "av_align"].detail["motion"])
        == len(rows[ids[1], "av_align"].detail["motion"])
        == round(25 * SECONDS)
    )
    assert len(rows[ids[6], "av_align"].detail["motion"]) == 60, "2.4 seconds at 25 a second"
    sync = [rows[id_, "mouth_sync"].values["mouth_agreement"] for id_ in ids[:2]]
    assert sync[0] == pytest.approx(sync[1], abs=0.1)
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.clips
@pytest.mark.parametrize(
    "names",
    [("rate_change.ts", "elementary.h264"), pytest.param(tuple(CASES), marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def test_real_files_of_odd_kinds(shared: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """Each has a row for each metric; nothing is said of it that is not so, and its pictures count whole."""
    cases = shared / "cases"
    if not cases.is_dir():
        pytest.skip("no files of odd kinds")
    (tmp_path / "v").mkdir()
    ids = dict(zip(names, write_samples(tmp_path / "samples", len(names)), strict=True))
    for name, id_ in ids.items():
        suffix = Path(name).suffix
        shutil.copyfile(cases / name, tmp_path / "v" / f"{id_}{'.mp4' if suffix == '.h264' else suffix}")
    metrics = ("appearance", "av_align")
    assert evaluate(tmp_path / "samples", tmp_path / "v", tmp_path / "out", metrics=metrics) == 0
    rows = table(tmp_path / "out")
    assert set(rows) == {(id_, metric) for id_ in ids.values() for metric in metrics}
    false = {"too short", "too few frames", "silent", "no sound", "undecodable", "unreadable", "missing", "no onsets"}
    for name in names:
        num_frames = CASES[name]
        looks, sounds = (rows[ids[name], metric] for metric in metrics)
        assert looks.reason not in false, name
        assert sounds.reason not in false or name == "elementary.h264", name  # which has no sound
        if num_frames is not None:
            assert looks.reason is None, name
            assert sounds.reason is None, name
            assert len(sounds.detail["motion"]) == num_frames, name
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_unreadable_wav_is_a_line_and_its_slice_unknown(
    samples_dir: Path, videos_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = Path(shutil.copytree(samples_dir, tmp_path / "samples"))
    (samples / f"{TALKING}.wav").write_bytes(b"")
    (samples / f"{TALKING}.png").write_bytes(b"no picture")
    metrics = ("appearance", "identity_colour")
    for _ in range(2):
        assert evaluate(samples, videos_dir, tmp_path / "out", "--controls", "frozen", metrics=metrics) == 0
        said = capsys.readouterr().err.splitlines()
        told = [line for line in said if line.startswith(f"sample {TALKING}: ")]
        assert [part in line for part, line in zip((".png cannot", ".wav cannot"), told, strict=True)] == [True, True]
        assert said.index(told[0]) < next(index for index, line in enumerate(said) if "rows to compute" in line)
    rows = table(tmp_path / "out")
    assert rows[TALKING, "appearance"].reason is None
    assert rows[TALKING, "identity_colour"].reason == "unreadable reference image"
    html = (tmp_path / "out" / "report.html").read_text()
    assert "<th>unknown<small>" in html
    assert "errors.log" not in html


def test_a_fault_of_the_program_is_told_in_table_report_and_log(
    samples_dir: Path,
    videos_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> float:
        raise ZeroDivisionError("[/i]<b>no</b> light")

    monkeypatch.setattr("bench.metrics.appearance.flicker", broken)
    assert evaluate(samples_dir, videos_dir, tmp_path, metrics=("appearance",)) == 0
    heard = capsys.readouterr()
    assert "[/i]<b>no</b> light" in heard.err, "shown as it is"
    assert "ZeroDivisionError: [/i]<b>no</b> light" in (tmp_path / "leaderboard.csv").read_text()
    assert "rows are without a value through a fault of the program" in " ".join(heard.out.split())
    html = (tmp_path / "report.html").read_text()
    assert "errors.log" in html
    assert "<b>no</b>" not in html
    assert (tmp_path / "errors.log").read_text().count("ZeroDivisionError: ") == 4
    monkeypatch.undo()
    assert evaluate(samples_dir, videos_dir, tmp_path, "--retry", metrics=("appearance",)) == 0
    assert "errors.log" not in (tmp_path / "report.html").read_text()
    assert table(tmp_path)[TALKING, "appearance"].reason is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": "absent"}, "no directory of videos at"),
        ({"videos": "samples"}, "holds no video of these samples; 3 other files are there (1 .json, 1 .png, 1 .wav)"),
        ({"out": "file"}, "cannot write into"),
        ({"out": "file/below"}, "cannot write into"),
        ({"samples": "file"}, "is not a directory"),
        ({"twice": "yes"}, "the methods 'ours' and 'theirs' are one directory"),
    ],
)
def test_mistakes_are_one_line_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    ids = write_samples(tmp_path / "samples", 1)
    (tmp_path / "samples" / f"{ids[0]}.wav").write_bytes(b"")
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / f"{ids[0]}.mp4", flat(10), None)
    (tmp_path / "file").write_bytes(b"")
    given = {"samples": "samples", "videos": "v", "out": "out", **changes}
    samples, videos, out = (tmp_path / given[name] for name in ("samples", "videos", "out"))
    methods = [f"ours={videos}", *([f"theirs={videos}/../v"] if "twice" in changes else [])]
    arguments = ["evaluate", "--samples", str(samples), "--videos", *methods, "--out", str(out)]
    assert main([*arguments, "--metrics", "appearance"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert not any("Traceback" in line for line in said)
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_that_may_not_be_written_is_one_line(
    samples_dir: Path, videos_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert evaluate(samples_dir, videos_dir, tmp_path / "out", metrics=("appearance",)) == 2
    assert "Permission denied" in capsys.readouterr().err.splitlines()[-1]


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    samples_dir: Path,
    videos_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert evaluate(samples_dir, videos_dir, tmp_path, metrics=("appearance",)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("soul: the run stopped: no space left")
    assert line.endswith("; the same command goes on")
    monkeypatch.undo()
    assert evaluate(samples_dir, videos_dir, tmp_path, metrics=("appearance",)) == 0
    assert table(tmp_path)[TALKING, "appearance"].reason is None


@pytest.mark.slow
def test_the_memory_of_a_4k_video_does_not_grow_with_its_length(tmp_path: Path) -> None:
    """Metrics over 25 and over 75 frames of 3840 × 2160, in processes of their own; MiB."""
    script = (
        "import resource, sys; from pathlib import Path; from bench.metrics.appearance import Appearance; "
        "from bench.metrics.av_align import mean_flow; from bench.metrics.metric import VideoInput; "
        "from bench.metrics.measured_video import MeasuredVideo; from bench.samples.samples import Sample; "
        "path = Path(sys.argv[1]); "
        "Appearance()(VideoInput(path=path, sample=Sample(id='x', prompt=''))); "
        "mean_flow(MeasuredVideo.of(path), 25, 384); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    picture = np.random.default_rng(0).integers(0, 255, (135, 240, 3)).astype(np.uint8)
    peaks = []
    for num in (25, 75):
        images = (cv2.resize(np.roll(picture, index, 1), (3840, 2160)) for index in range(num))
        path = write_odd(tmp_path / f"{num}.mp4", (np.asarray(image, np.uint8) for image in images), codec="mpeg4")
        command = [sys.executable, "-c", script, str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 100, "50 frames more are 1,200 MiB as pictures"
