"""`python -m bench build …`: from a spec to a published set, one step a command; each goes on where it was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.builder import telling
from bench.builder.build import Build, begin, lay_out, open_build
from bench.builder.cases import TEMPLATE, add_case
from bench.builder.directory import BuildDirectory
from bench.builder.publishing import Unsigned, publish
from bench.builder.review import write_page
from bench.builder.running import check_servers
from bench.builder.running import run as run_slots
from bench.builder.sign_off import merge_decisions
from bench.builder.spec import DEFAULT
from bench.pages.results import result_files

ABOUT: Final = """\
Make a set like Soul-Bench (paper, Sec. 4.2). In order:

  plan      what the set will be made of; writes DIR/spec.yaml, where servers and shares are to be set
  run       texts, speech, image and a second model's verdict for every slot, again until it approves
  review    a page (DIR/review) on which people check images, recordings and texts
  sign-off  take in the files that they hand back
  add       real cases by hand, such as singing
  publish   samples and a versioned manifest
  status    where all of this stands

Endpoints are OpenAI-compatible: /chat/completions, /images/generations, /audio/speech. A step that was finished is
never asked for again, whatever was killed meanwhile.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `run` reads."""
    parser.description = ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")

    def action(name: str, about: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=about, description=about)
        found.add_argument("--build", type=Path, required=True, metavar="DIR", help="directory of the build")
        return found

    planning = action("plan", "show what a set will be made of, and begin its directory")
    planning.add_argument("--spec", type=Path, help=f"YAML; default: the one that is there, else {DEFAULT}")
    working = action("run", "generate and judge until every slot is approved or given up")
    for one in (planning, working):
        one.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="of the spec"
        )
    reviewing = action("review", "write the page for people: hand out DIR/review")
    reviewing.add_argument("--open", action="store_true", help="only samples that are not decided yet")
    signing = action("sign-off", "take in the files that reviewers hand back")
    signing.add_argument("files", type=Path, nargs="+", metavar="FILE", help="files, or directories of them")
    adding = action("add", "add real cases, a YAML file each")
    adding.add_argument("cases", type=Path, nargs="*", metavar="CASE.yaml", help="without any, a template is printed")
    publishing = action("publish", "write samples/ and manifest.json")
    publishing.add_argument("--out", type=Path, metavar="DIR", help="default: published/ in the build")
    publishing.add_argument(
        "--unsigned",
        choices=[choice.value for choice in Unsigned],
        default=Unsigned.REFUSE.value,
        help="what to do when people have not decided on all samples (default: refuse)",
    )
    action("status", "where a build stands")


def run(options: argparse.Namespace) -> None:
    """Do one step.

    Raises:
        ValueError: a person's mistake, or a server that failed; in one line.
    """
    console = Console()
    if options.action == "plan":
        _plan(options, console)
    elif options.action == "status":
        telling.tell_status(console, open_build(options.build))
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
    telling.tell_plan(console, build)


def _work(build: Build, options: argparse.Namespace, console: Console) -> None:
    if options.action == "run":
        _run(build, console)
    elif options.action == "review":
        num = write_page(build, only_open=options.open)
        console.print(f"{num} samples: hand out {build.directory.review}", soft_wrap=True, highlight=False)
    elif options.action == "sign-off":
        merged = merge_decisions(build, result_files(options.files))
        telling.tell_merged(console, merged)
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
        telling.tell_published(console, out, publish(build, out, Unsigned(options.unsigned)))


def _run(build: Build, console: Console) -> None:
    if build.state.open(build.spec.max_attempts):
        check_servers(build)
        begin(build)
        with telling.progress(console, build) as show:
            run_slots(build, show)
    telling.tell_end(console, build)
