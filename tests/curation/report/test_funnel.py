"""Losses add up."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from curation.report.funnel import clip_funnel, source_funnel
from curation.report.summary import summarise
from tests.worlds.report_page import report
from tests.worlds.synthetic_run import sources, write_run


def test_funnels_add_up(run: Path) -> None:
    summary = summarise(str(run))
    for steps in (source_funnel(summary), clip_funnel(summary)):
        for step, following in itertools.pairwise(steps):
            assert step.num_out == following.num_in
            assert step.num_lost == sum(loss.count for loss in step.losses)
    assert clip_funnel(summary)[-1].num_out == summary.num_kept
    assert [step.stage for step in source_funnel(summary)] == ["probe", "resolution", "scenes"]


def test_a_source_that_fails_late_is_counted_among_the_sources(tmp_path: Path) -> None:
    talk, *rest = sources()
    crashed = replace(talk, uri="/in/killer.mp4").fail("worker", "crashed", "died 3 times")
    write_run(str(tmp_path), [talk.fail("export", "undecodable", "bad"), crashed, *rest])
    steps = {step.stage: step for step in source_funnel(summarise(str(tmp_path)))}
    assert list(steps) == ["probe", "resolution", "scenes", "export", "worker"]
    assert (steps["export"].num_in, steps["worker"].num_in, steps["worker"].num_out) == (4, 3, 2)


def test_nothing_rejected_and_no_times_is_no_funnel(tmp_path: Path) -> None:
    talk = sources()[0]
    write_run(str(tmp_path), [replace(talk, clips=talk.clips[:2], stage_seconds={})])
    assert "2 kept, 100 %" in report(tmp_path).text
