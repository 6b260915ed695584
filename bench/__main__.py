"""The benchmark's command line, `python -m bench COMMAND`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from curation.command_line import Command, run_command

DESCRIPTION: Final = """\
Judge Soul and what it makes.

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

COMMANDS: Final = {
    "samples": Command(
        about="samples out of a curated run's clips, with the clips themselves as the ceiling",
        options="bench.curated_options",
        run="bench.curated_samples",
    ),
    "generate": Command(
        about="a video of every sample by a model directory",
        options="bench.generation.options",
        run="bench.generation.command",
    ),
    "doctor": Command(
        about="which metrics can run here, what is missing and how to get it",
        options="bench.evaluation.doctor_options",
        run="bench.evaluation.doctor",
    ),
    "evaluate": Command(
        about="score directories of videos against Soul-Bench samples; goes on where it was stopped",
        options="bench.evaluation.options",
        run="bench.evaluation.command",
    ),
    "report": Command(
        about="leaderboard, statistics and one HTML file out of the scores",
        options="bench.report.options",
        run="bench.report.command",
    ),
    "human-study": Command(
        about="a blind page for people, and what their answers say",
        options="bench.human_study.options",
        run="bench.human_study.command",
    ),
    "build": Command(
        about="make a set like Soul-Bench: generate, judge, sign off, add real cases, publish (paper, Sec. 4.2)",
        options="bench.builder.options",
        run="bench.builder.command",
    ),
    "efficiency": Command(
        about="what a model costs on this device: seconds, operations, memory (paper, Tab. 1 and 3)",
        options="bench.efficiency.options",
        run="bench.efficiency.command",
    ),
}


def main(
    arguments: Sequence[str] | None = None,
    *,
    prog: str = "python -m bench",
    commands: Mapping[str, Command] = COMMANDS,
) -> int:
    """Run a command; returns the exit status, see `DESCRIPTION`.

    Args:
        arguments: in place of those of this process.
        prog: what was typed before the command.
        commands: in place of all of them under their own names.
    """
    return run_command(
        prog,
        DESCRIPTION,
        commands,
        sys.argv[1:] if arguments is None else arguments,
        mistakes=ValueError,
        interrupted="the same command goes on with what is missing",
    )


if __name__ == "__main__":
    sys.exit(main())
