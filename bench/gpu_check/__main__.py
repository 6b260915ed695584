"""`python -m bench.gpu_check`: one short check of a GPU, see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.gpu_check.run import LINES, TABLE, run
from bench.gpu_check.schedule import FULL_BUDGET_S, SIZES, STEPS
from infra.command_line import Parser, exit_status

ABOUT = f"""\
Check a GPU in minutes: whether the network computes there what it computes on a CPU, and how fast and in how much
memory it trains and generates. All weights are random and made on the device, so nothing is downloaded.

Every figure is written to DIR/{LINES} as soon as it is there, and all of them to DIR/{TABLE} at the end. A step
that fails or hangs does not end the others, and one whose share no longer fits into the budget is skipped.

steps:
""" + "\n".join(f"  {step.name:<12} {step.about}" for step in STEPS)


def main() -> int:
    """Run the command; returns the exit status."""

    def work() -> None:
        parser = Parser(
            prog="python -m bench.gpu_check",
            description=ABOUT,
            epilog="exit status: 0 all measured, 1 some of it not, 2 a mistake in what was asked for, 130 interrupted",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add = parser.add_argument
        add("--out", type=Path, required=True, metavar="DIR", help="where the figures are written")
        add("--budget", type=float, default=FULL_BUDGET_S, metavar="SECONDS", help="default: %(default).0f")
        add("--steps", metavar="A,B", help="only these (default: all)")
        add("--size", choices=SIZES, default="full", help="tiny runs on a CPU (default: %(default)s)")
        add("--device", metavar="NAME", help="cuda, cuda:1 or cpu (default: cuda where there is one)")
        run(parser.parse_args())

    return exit_status(work, mistakes=ValueError, interrupted="the figures so far are kept")


if __name__ == "__main__":
    sys.exit(main())
