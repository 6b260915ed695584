"""Options of `python -m bench build …`."""

from __future__ import annotations

import argparse
from enum import StrEnum
from pathlib import Path
from typing import Final

from infra.command_line import existing_file

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


class Unsigned(StrEnum):
    """What publishing does with samples that too few people have decided on."""

    REFUSE = "refuse"
    LEAVE_OUT = "leave-out"
    INCLUDE = "include"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")

    def action(name: str, about: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=about, description=about)
        found.add_argument("--build", type=Path, required=True, metavar="DIR", help="directory of the build")
        return found

    planning = action("plan", "show what a set will be made of, and begin its directory")
    planning.add_argument(
        "--spec", type=existing_file, help="YAML; default: the one that is there, else bench/builder/default.yaml"
    )
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
