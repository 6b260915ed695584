"""`python -m bench build …`: from a spec to a published set, one command a step; each resumes where it stopped."""

from __future__ import annotations

import argparse

from rich.console import Console

from bench.builder.build import Build, BuildDirectory, begin, lay_out, open_build
from bench.builder.cases import TEMPLATE, add_case
from bench.builder.options import Unsigned
from bench.builder.progress import show_progress, tell_end, tell_merged, tell_plan, tell_published, tell_status
from bench.builder.publishing import publish
from bench.builder.review import write_page
from bench.builder.sign_off import merge_decisions
from bench.builder.slot_runner import check_servers
from bench.builder.slot_runner import run as run_slots
from bench.builder.spec import DEFAULT
from bench.pages.results import result_files


def run(options: argparse.Namespace) -> None:
    """Do one step.

    Raises:
        ValueError: a person's mistake, or a server that failed; in one line.
    """
    console = Console(markup=False)
    if options.action == "plan":
        _plan(options, console)
    elif options.action == "status":
        tell_status(console, open_build(options.build))
    elif options.action == "add" and not options.cases:
        print(TEMPLATE, end="")
    else:
        directory = BuildDirectory(options.build)
        directory.check()
        with directory.at_work():
            _work(open_build(options.build, getattr(options, "overrides", [])), options, console)


def _plan(options: argparse.Namespace, console: Console) -> None:
    there = BuildDirectory(options.build).spec
    if options.spec is None and there.is_file() and not options.overrides:
        build = open_build(options.build)
    else:
        build = lay_out(options.build, options.spec or DEFAULT, options.overrides)
    tell_plan(console, build)


def _work(build: Build, options: argparse.Namespace, console: Console) -> None:
    if options.action == "run":
        _run(build, console)
    elif options.action == "review":
        num = write_page(build, only_open=options.open)
        console.print(f"{num} samples: hand out {build.directory.review}", soft_wrap=True, highlight=False)
    elif options.action == "sign-off":
        merged = merge_decisions(build, result_files(options.files))
        tell_merged(console, merged)
        if not merged.num_counted:
            raise ValueError("none of the files counts")
    elif options.action == "add":
        begin(build)
        for description in options.cases:
            added = add_case(build, description)
            there = "" if added.is_new else " is there already"
            console.print(f"{description.name}: {added.id}{there}", soft_wrap=True, highlight=False)
    else:
        out = options.out or build.directory.published
        tell_published(console, out, publish(build, out, Unsigned(options.unsigned)))


def _run(build: Build, console: Console) -> None:
    if build.state.open(build.spec.max_attempts):
        check_servers(build)
        begin(build)
        with show_progress(console, build) as show:
            run_slots(build, show)
    tell_end(console, build)
