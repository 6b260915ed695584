from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation.report import write_report
from curation.report.page import number, span, stage_times
from curation.report.summary import summarise
from curation.shards.clip_rows import THUMBNAIL_WIDTH_PX
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from tests.worlds.html_page import Page
from tests.worlds.report_page import charts, report
from tests.worlds.synthetic_run import HOSTILE, sources, write_run


def test_the_header_has_the_totals(page: Page) -> None:
    for total in ("5 sources", "1 failed, in quarantine", "8 clips, 1 of them crops", "5 kept, 62 %"):
        assert total in page.text
    assert "1.0 min of video in 23.0 s of video kept, 38 %" in page.text
    assert "configuration c0ffee" in page.text
    assert "configurations" not in page.text


def test_the_funnel_has_every_stage_and_rule(page: Page) -> None:
    assert "probe 5 → 4 sources 1.0 min → 1.0 min, 80 % go on unreadable −1 source 0.0 s 20 %" in page.text
    assert "short edge −1 source 20.0 s 25 % median 480, threshold 480" in page.text
    assert "split 7 → 6 clips 28.5 s → 27.5 s, 86 % go on too short −1 clip 1.0 s 14 % median 1" in page.text
    assert "presence −2 clips 9.0 s 33 % median 0.3, threshold 0.5" in page.text
    assert "pose 4 → 5 clips 23.0 s → 23.0 s, 100 % go on cropped out +1 clip" in page.text
    assert "export 5 → 5 clips" in page.text


def test_what_became_of_the_sound(page: Page) -> None:
    assert "kept 3 60 %" in page.text
    assert "dropped: sync/persistent mismatch 1 20 %" in page.text
    assert "dropped: split/general pool 1 20 %" in page.text


def test_the_six_distributions_of_the_kept_clips(page: Page) -> None:
    labels = charts(page)
    assert labels["Shot type"] == "Shot type; Portrait: 1; Upper body: 2; Full body: 1; No body: 1"
    assert labels["Number of people"] == "Number of people; No person: 1; Single: 3; Multiple: 1"
    assert labels["Audio type"] == "Audio type; Talking: 1; Singing: 1; No audio: 2; not measured: 1"
    assert labels["Resolution"] == "Resolution; 480P: 0; 720P: 2; 1080P: 2; 4K: 1"
    assert labels["Aspect ratio"] == "Aspect ratio; 0.5 ≤ r < 1: 2; r = 1: 1; 1 < r ≤ 2: 2"
    assert labels["Duration"] == "Duration; 4.0–4.2 s: 0; 4.2–4.4 s: 0; 4.4–4.6 s: 4; 4.6–4.8 s: 0; 4.8–5.0 s: 1"


def test_cards_show_pictures_captions_and_reasons(page: Page) -> None:
    assert (page.cards("kept"), page.cards("faces/presence"), page.cards("split/too_short")) == (5, 2, 1)
    assert (page.cards("resolution/short_edge"), page.cards("probe/unreadable")) == (1, 1)
    images = [str(image["src"]) for image in page.all("img")]
    assert len(images) == 8
    for image in images:
        jpeg = base64.b64decode(image.removeprefix("data:image/jpeg;base64,"), validate=True)
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[1] == THUMBNAIL_WIDTH_PX
    assert "split/too short 1 720" not in page.text
    key = sources()[0].clips[2].key
    assert f"faces/presence 0.25, threshold 0.5 1080×1920 · 10–14.5 s {key}" in page.text
    assert "sound dropped: sync/persistent mismatch" in page.text
    filters = [button["data-filter"] for button in page.all("button")]
    assert filters == [
        "all",
        "rejected",
        "kept",
        "probe/unreadable",
        "resolution/short_edge",
        "split/too_short",
        "faces/presence",
    ]


def test_speed_by_stage(run: Path, page: Page) -> None:
    times = {time.stage: time for time in stage_times(summarise(str(run)))}
    # 3 sources passed every stage, 2 stopped early: 2.5 + 3 × 7.5 s of work on 60 s of video.
    assert times["export"].share == pytest.approx(12 / 25)
    assert times["export"].per_source_second == pytest.approx(12 / 60)
    assert "25.0 s in all for 1.0 min of source, so a worker" in page.text
    assert "gets through 2.4 source-seconds a second" in page.text
    assert "export 12.0 s 200 ms 48 %" in page.text


def test_quarantined_sources_have_their_reasons(page: Page) -> None:
    assert "broken.mp4 probe/unreadable no <moov> atom" in page.text


def test_hostile_names_and_captions_stay_text(page: Page) -> None:
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert "<script>alert(3)</script> A person walks." in page.text
    shown = [attributes["title"] for _, attributes in page.elements if HOSTILE in (attributes.get("title") or "")]
    assert len(shown) == 3


def test_the_file_needs_nothing_else_and_allows_no_other_script(page: Page) -> None:
    assert not page.all("link")
    assert not re.findall(r"https?://|@import|url\(", page.raw["style"] + page.raw["script"])
    policy = next(str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in policy
    digest = hashlib.sha256(page.raw["script"].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_several_configurations_are_a_warning(tmp_path: Path) -> None:
    write_run(str(tmp_path), sources()[:1], config_hash="aaaa")
    write_run(str(tmp_path), sources()[1:], config_hash="bbbb")
    assert "This run mixes 2 configurations" in report(tmp_path).text


def test_an_empty_run_says_so_and_no_run_is_an_error(tmp_path: Path) -> None:
    write_run(str(tmp_path / "run"), [])
    assert "no committed shards" in report(tmp_path / "run").text
    with pytest.raises(ConfigError, match="not a run directory"):
        write_report(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("chosen", [[4], [3], [3, 4]], ids=["only failed", "only rejected", "both"])
def test_a_run_without_clips_has_a_report(tmp_path: Path, chosen: list[int]) -> None:
    write_run(str(tmp_path), [sources()[index] for index in chosen])
    page = report(tmp_path)
    assert "No source got as far as being cut into clips" in page.text
    assert "No clip was kept" in page.text
    assert page.cards("kept") == 0


def test_a_run_that_kept_nothing_has_a_report(tmp_path: Path) -> None:
    talk = sources()[0]
    clips = tuple(replace(clip, payload=None).reject("quality", "low_score", None, 0.4) for clip in talk.clips)
    write_run(str(tmp_path), [replace(talk, clips=clips)])
    page = report(tmp_path)
    assert "0 kept, 0 %" in page.text
    assert "low score −2 clips 9.5 s 100 % threshold 0.4" in page.text
    assert page.cards("quality/low_score") == 2


def test_a_remote_run_is_reported_in_place() -> None:
    run = "memory://bucket/report-run"
    write_run(run, sources())
    assert write_report(run) == f"{run}/report.html"
    assert "5 kept" in report(run).text


def test_many_rows_do_not_make_a_large_report(tmp_path: Path) -> None:
    (name,) = write_run(str(tmp_path), sources())
    rows = RunDirectory(str(tmp_path)).index().drop_columns(["shard"])
    clips = rows.filter(pc.not_equal(rows["key"], rows["source_key"]))
    copies = []
    for index in range(2500):
        keys = [f"{key}-{index}" for key in clips["key"].to_pylist()]
        copies.append(clips.set_column(clips.column_names.index("key"), "key", pa.array(keys)))
    pq.write_table(pa.concat_tables(copies), tmp_path / "shards" / f"{name}.parquet")
    page = report(tmp_path)
    assert "20,000 clips" in page.text
    assert (page.cards("kept"), page.cards("faces/presence")) == (24, 6)
    assert (tmp_path / "report.html").stat().st_size < 500_000


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0"), (0.12345, "0.123"), (480.0, "480"), (12345.6, "12,346")],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0.0 s"), (90.0, "1.5 min"), (7200.0, "2.0 h"), (None, "–")])
def test_span(seconds: float | None, text: str) -> None:
    assert span(seconds) == text
