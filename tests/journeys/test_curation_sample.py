"""The whole pipeline on the sample bucket: decisions equal the known truth, and shards hold what they say."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import webdataset as wds

from curation.browse.collection import open_collection
from curation.browse.server import serving
from curation.clip.schema import Pool
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.planning import plan_units
from curation.report.summary import summarise
from curation.sample import SampleTruth
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import build
from infra.jobs.engine import run_inline
from tests.worlds.browsed import ask
from tests.worlds.sample_videos import LONG, SHORT, TRUTH, each

Rows = dict[str, list[dict[str, Any]]]
RowsOf = Callable[[str], list[dict[str, Any]]]


def curate(location: Path, run: Path, pool: Pool = Pool.HUMAN) -> None:
    """Half of the time would go into encoding small files, which is beside the point."""
    config = build(CurationConfig, {"stages": {"export": {"preset": "ultrafast"}}}, "test")
    units = plan_units(list_sources(str(location), pool), set(), config.planning).units
    run_inline(units, CurationJob(run=str(run), config=config), lambda _: None)


def by_video(run: Path) -> Rows:
    rows: Rows = defaultdict(list)
    for row in RunDirectory(str(run)).index().to_pylist():
        rows[Path(row["source"]).name].append(row)
    return rows


@pytest.fixture(scope="module")
def run(short_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    curate(short_samples, directory)
    return directory


@pytest.fixture(scope="module")
def long_run(long_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("long_run")
    curate(long_samples, directory)
    return directory


@pytest.fixture(scope="module")
def rows_of(request: pytest.FixtureRequest) -> RowsOf:
    """The rows of a video by its name."""
    return lambda name: by_video(request.getfixturevalue("long_run" if name in LONG else "run"))[name]


def in_rejected_span(row: dict[str, Any], truth: SampleTruth) -> bool:
    middle = (row["start_s"] + row["end_s"]) / 2
    return any(start <= middle < end for start, end in truth.rejected_spans_s)


@pytest.mark.parametrize("name", each(TRUTH))
def test_decisions_equal_the_truth(rows_of: RowsOf, name: str) -> None:
    truth = TRUTH[name]
    rows = rows_of(name)
    assert rows
    for row in rows:
        expected = truth.keep and not in_rejected_span(row, truth)
        assert row["kept"] == expected, row["reject_rule"]
        if row["kept"]:
            assert row["audio_kept"] == (truth.audio == "kept"), row["audio_reason"]
            assert (row["audio_reason"] or "") == truth.audio_reason
        elif not truth.keep:
            assert row["reject_stage"] in truth.reject_stages
            assert not truth.reject_rules or row["reject_rule"] in truth.reject_rules


@pytest.mark.parametrize("name", each(name for name, truth in TRUTH.items() if truth.keep))
def test_kept_clips_are_described_right(rows_of: RowsOf, name: str) -> None:
    truth = TRUTH[name]
    kept = [row for row in rows_of(name) if row["kept"]]
    cuts = {row["shot_start_s"] for row in rows_of(name)} - {0.0}
    assert sorted(cuts) == pytest.approx(truth.cuts_s, abs=0.05)
    for row in kept:
        assert row["num_people"] == truth.num_people
        if truth.shot_type is not None and row["parent_key"] is None:
            assert row["shot_type"] == truth.shot_type
        if row["parent_key"] is None:
            assert (row["width"], row["height"]) == truth.size
        assert row["audio_type"] in (truth.audio_type, "unknown")


def test_most_stages_keep_and_reject(run: Path) -> None:
    rows = RunDirectory(str(run)).index().to_pylist()
    stages = {row["reject_stage"] for row in rows if not row["kept"]}
    assert stages >= {"probe", "resolution", "split", "quality", "defects"}
    assert any((row["audio_reason"] or "").startswith("sync/") for row in rows)


@pytest.mark.slow
def test_subtitles_are_rejected(long_run: Path) -> None:
    assert "subtitles" in {row["reject_stage"] for row in RunDirectory(str(long_run)).index().to_pylist()}


@pytest.mark.slow
def test_a_full_body_is_cropped(long_run: Path) -> None:
    assert any(row["parent_key"] and row["kept"] for row in RunDirectory(str(long_run)).index().to_pylist())


@pytest.mark.parametrize(
    "name", each(name for name, truth in TRUTH.items() if truth.keep and truth.camera_movement is not None)
)
def test_captions_tell_the_camera(request: pytest.FixtureRequest, rows_of: RowsOf, name: str) -> None:
    directory = RunDirectory(str(request.getfixturevalue("long_run" if name in LONG else "run")))
    for row in rows_of(name):
        if row["kept"] and row["parent_key"] is None:
            record = json.loads(directory.sample(row["shard"], row["key"])["json"])
            assert record["caption"]["camera_movement"] in (TRUTH[name].camera_movement, "none")


def test_shards_stream_through_plain_webdataset_and_hold_what_they_say(run: Path) -> None:
    tars = [str(path) for path in sorted((run / "shards").glob("*.tar"))]
    kept = {row["key"]: row for row in RunDirectory(str(run)).index().to_pylist() if row["kept"]}
    seen = set()
    for sample in wds.WebDataset(tars, shardshuffle=False):
        record, row = json.loads(sample["json"]), kept[sample["__key__"]]
        seen.add(sample["__key__"])
        with av.open(io.BytesIO(sample["mp4"])) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", row["width"], row["height"])
            assert sum(1 for _ in container.decode(stream)) == record["num_frames"] == row["num_frames"]
        assert ("wav" in sample) == row["audio_kept"]
        if "wav" in sample:
            samples, rate = soundfile.read(io.BytesIO(sample["wav"]), dtype="int16")
            assert len(samples) == round((row["end_s"] - row["start_s"]) * rate)
    assert seen == set(kept)


def test_the_summary_adds_up(run: Path) -> None:
    summary = summarise(str(run))
    assert summary.num_sources == len(SHORT)
    assert summary.num_kept == sum(row["kept"] for row in RunDirectory(str(run)).index().to_pylist())


@pytest.mark.parametrize(
    "names",
    [
        ["silent.mp4", "exactly_480p.mp4"],
        pytest.param(["scenery.webm"], marks=pytest.mark.slow),
        pytest.param(["cut_montage.mp4", "letterboxed.mp4"], marks=pytest.mark.slow),
    ],
)
def test_the_general_pool_needs_no_faces_and_keeps_no_sound(
    sample: Callable[[str], Path], tmp_path: Path, names: list[str]
) -> None:
    (tmp_path / "bucket").mkdir()
    for name in names:
        (tmp_path / "bucket" / name).hardlink_to(sample(name))
    curate(tmp_path / "bucket", tmp_path / "run", Pool.GENERAL)
    general = by_video(tmp_path / "run")
    for name in names:
        assert {row["kept"] for row in general[name]} == {TRUTH[name].keep_general}, name
    kept = [row for video in general.values() for row in video if row["kept"]]
    assert {(row["audio_kept"], row["pool"]) for row in kept} == {(False, "general")}
    reasons = {"sync/no_audio_stream"} if "scenery.webm" in names else {"sync/general_pool"}
    assert {row["audio_reason"] for row in kept} == reasons


def test_every_kept_clip_plays_in_the_browser_with_the_frames_and_samples_of_its_record(run: Path) -> None:
    with serving(open_collection(str(run), lambda _done, _of: None)) as address:
        rows = ask(address, "api/clips", "state=kept").json["rows"]
        assert {row["audio_kept"] for row in rows} == {True, False}
        for row in rows:
            place = {"run": "0", "key": row["key"]}
            record = ask(address, "file", place | {"kind": "json"}).json
            content = ask(address, "clip", place).body
            with av.open(io.BytesIO(content)) as played:
                times = [float(frame.time) for frame in played.decode(video=0)]
            with av.open(io.BytesIO(ask(address, "file", place).body)) as kept:
                assert times == [float(frame.time) for frame in kept.decode(video=0)]
            assert len(times) == record["num_frames"]
            if row["audio_kept"]:
                samples, _ = soundfile.read(
                    io.BytesIO(ask(address, "file", place | {"kind": "wav"}).body), dtype="int16"
                )
                with av.open(io.BytesIO(content)) as played:
                    heard = np.concatenate([frame.to_ndarray().ravel() for frame in played.decode(audio=0)])
                np.testing.assert_array_equal(heard, samples.ravel())
