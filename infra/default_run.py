"""Which run directory is meant when none is named; the Makefile's RUN follows the same rule."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")
SAMPLE_RUN = RUNS / "sample"
"""Where the sample bucket is curated: a person's own videos never mix with it."""


def default_run(profile: str, sample: bool | None) -> str:  # noqa: FBT001 (three states of one question)
    """The run directory that a command works in.

    Args:
        profile: its name, or the path of its YAML file.
        sample: whether the command curates the sample bucket; None for a command that goes on with what is curated.
    """
    own = RUNS / Path(profile).stem
    if sample is None:
        # Where only the sample bucket has been curated, commands go on with it. A person's own videos come first.
        sample = profile == "local" and not (own / "shards").is_dir() and (SAMPLE_RUN / "shards").is_dir()
    return str(SAMPLE_RUN if sample else own)
