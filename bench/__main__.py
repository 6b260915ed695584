"""The benchmark's command line, `python -m bench COMMAND`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Final

from curation.command_line import CommandFailedError, parse_command

DESCRIPTION: Final = """\
Judge Soul and what it makes.

  samples      samples out of a curated run's clips, with the clips themselves as the ceiling
  generate     a video of every sample by a model directory
  evaluate     score directories of videos against Soul-Bench samples; goes on where it was stopped
  report       leaderboard, statistics and one HTML file out of the scores
  doctor       which metrics can run here, what is missing and how to get it
  build        make a set like Soul-Bench: generate, judge, sign off, add real cases, publish (paper, Sec. 4.2)
  human-study  a blind page for people, and what their answers say
  efficiency   what a model costs on this device: seconds, operations, memory (paper, Tab. 1 and 3)
"""

COMMANDS: Final = {
    "samples": ("samples out of a curated run", "bench.curated_samples"),
    "generate": ("a video of every sample", "bench.generation.command"),
    "evaluate": ("score videos", "bench.evaluation.command"),
    "report": ("leaderboard and HTML", "bench.report.command"),
    "doctor": ("which metrics can run here", "bench.evaluation.doctor"),
    "build": ("make a set of samples", "bench.builder.command"),
    "human-study": ("a study with people", "bench.human_study.command"),
    "efficiency": ("what a model costs on this device", "bench.efficiency.command"),
}
"""What each is for, and the module that has its `add_arguments` and `run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 broken off, 2 a person's mistake, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    run, options = parse_command("python -m bench", DESCRIPTION, COMMANDS, arguments)
    options.command_line = shlex.join(["python", "-m", "bench", *arguments])
    try:
        run(options)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except CommandFailedError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
