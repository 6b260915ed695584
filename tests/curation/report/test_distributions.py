"""Bins add up."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.report.distributions import NOT_MEASURED, distributions
from tests.worlds.report_page import charts, report
from tests.worlds.synthetic_run import sources, write_run


def test_bins_add_up_whatever_is_missing() -> None:
    kept = pa.table(
        {
            "shot_type": pa.array(["portrait", None, "from_the_future"]),
            "num_people": pa.array([0, None, 7]),
            "audio_type": pa.array([None, "unknown", "talking"]),
            "audio_kept": pa.array([True, True, None]),
            "width": pa.array([0, 720, 4000]),
            "height": pa.array([0, None, 1000]),
            "start_s": pa.array([0.0, None, 0.0]),
            "end_s": pa.array([4.2, 5.0, 61.0]),
        }
    )
    found = {chart.title: {bin_.label: bin_.count for bin_ in chart.bins} for chart in distributions(kept)}
    assert all(sum(chart.values()) == 3 for chart in found.values())
    assert found["Shot type"][NOT_MEASURED] == 2
    assert found["Aspect ratio"]["r > 2"] == 1
    assert found["Duration"] == {
        "4.0–4.2 s": 0, "4.2–4.4 s": 1, "4.4–4.6 s": 0, "4.6–4.8 s": 0, "4.8–5.0 s": 0, "over 30 s": 1, NOT_MEASURED: 1
    }  # fmt: skip


def test_columns_that_an_index_lacks_are_not_measured(tmp_path: Path) -> None:
    (name,) = write_run(str(tmp_path), sources())
    path = tmp_path / "shards" / f"{name}.parquet"
    pq.write_table(pq.read_table(path).select(["key", "source", "source_key", "kept", "start_s", "end_s"]), path)
    page = report(tmp_path)
    assert "The index records no times" in page.text
    assert "not measured: 5" in charts(page)["Shot type"]
    assert "unknown −3" in page.text
