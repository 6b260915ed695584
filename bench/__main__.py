"""The benchmark's command line, `python -m bench COMMAND`."""

from __future__ import annotations

import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Judge Soul and what it makes.

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

COMMANDS: Final = {
    "samples": Command(
        about="samples out of a curated run's clips, with the clips themselves as the ceiling",
        options="bench.samples.curated_options",
        run="bench.samples.curated",
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
    "fetch-weights": Command(
        about="download the weights that metrics lack, and check them",
        options="bench.evaluation.fetch_weights_options",
        run="bench.evaluation.fetch_weights",
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


COMMAND_LINE: Final = CommandLine(
    prog="python -m bench",
    description=DESCRIPTION,
    commands=COMMANDS,
    interrupted="the same command goes on with what is missing",
    mistakes=ValueError,
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
