"""Running what was prepared: on Ray or in this process, with a display, the summary and the report."""

from __future__ import annotations

import time
from collections import Counter

from curation.commands.compacting import compact
from curation.commands.prepare import Prepared
from curation.job import CurationJob
from curation.report import write_report_of
from curation.report.summary import print_summary, summarise_directory
from curation.shards.failed_units import FailedUnits
from infra.jobs.cluster import telling_why_it_stopped
from infra.jobs.console import Words, announced_ray, display
from infra.jobs.engine import run_inline, run_on_ray
from infra.jobs.progress import Progress
from infra.jobs.waiting import UnitsWaitError, check_none_left
from infra.storage.files import join

WORDS = Words(doing="curating", counts="units", kept="kept", rejected="rejected")


def curate(prepared: Prepared, engine: str) -> None:
    """Curate the plan's units and print the run's totals.

    Raises:
        CommandFailedError: Ray ended the run, or units are left to the next one.
    """
    console, plan, run, version = prepared.console, prepared.plan, prepared.run, prepared.version
    # What is computed for a version lies beside the run's own shards.
    target = version.run if version else run
    clips = prepared.clips
    before = summarise_directory(clips) if plan.num_done or version else None
    start, job = time.monotonic(), CurationJob(run=target, config=prepared.config, num_done=plan.num_done)
    left: UnitsWaitError | None = None
    try:
        with display(console, len(plan.units), WORDS) as drawing:
            if engine == "inline" or not plan.units:
                run_inline(plan.units, job, drawing.show)
            else:
                with telling_why_it_stopped(), announced_ray(console, job.name):
                    run_on_ray(plan.units, job, drawing.show)
    except UnitsWaitError as error:
        left = error
    elapsed_s = time.monotonic() - start if plan.units and version is None else None
    if left is None and version is None and prepared.config.shards.merge:
        compact(console, clips, prepared.config, engine)
    print_summary(summarise_directory(clips), console, elapsed_s, before)
    console.print(f"shards  {join(target, 'shards')}", soft_wrap=True, highlight=False)
    console.print(f"report  {write_report_of(clips)}", soft_wrap=True, highlight=False)
    failed = FailedUnits.of(clips if version is None else version.own)
    if failed.units:
        are = "unit is" if len(failed.units) == 1 else "units are"
        console.print(
            f"{len(failed.units):,} {are} in quarantine: {failed}; --retry RULE, or --retry all, takes them up again",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    if left is not None:
        raise left
    check_none_left(Progress(waiting=Counter(plan.unreachable)), sum(plan.unreachable.values()))
