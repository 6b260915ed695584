"""The installed command `soul`: `python -m curation`, `training`, `model`, `serving` and `bench`, in order of use.

It imports none of the parts: a part is loaded when one of its commands is typed.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A command of `soul`."""

    about: str
    part: str
    """The folder whose command line has it."""
    name: str | None
    """The command's name in that command line; None for all commands of it."""


def _own(part: str, about: str, name: str) -> Entry:
    return Entry(about=about, part=part, name=name)


ENTRIES: Final = {
    "plan": _own("curation", "say what curating would do and how long it would take", "plan"),
    "curate": _own("curation", "raw videos -> annotated shards; without INPUT, a sample bucket", "run"),
    "watch": _own("curation", "a page of a run's progress while it goes on", "watch"),
    "decide": _own("curation", "what other thresholds would change, and a version of the index", "decide"),
    "deduplicate": _own(
        "curation", "clips that show the same seconds, and a version of the index without", "deduplicate"
    ),
    "compact": _own("curation", "merge a run's small shards into large ones", "compact"),
    "report": _own("curation", "write RUN/report.html again", "report"),
    "show": _own("curation", "the whole record of one clip or source", "show"),
    "logs": _own("curation", "what became of a source, and where; what went wrong in a run", "logs"),
    "browse": _own("curation", "a page on which clips are searched, compared and played", "browse"),
    "extract": _own("curation", "a clip's files and first frame: a portrait and speech to use", "extract"),
    "encode": _own("curation", "curated shards -> what training reads", "encode"),
    "push-data": _own(
        "curation", "a run as a data set with its card, to the Hugging Face Hub or into a folder", "push"
    ),
    "codebook": _own("training", "cluster the encoded latents", "codebook"),
    "convert": _own("model", "Wan2.2 -> the model directory that training starts from", "convert"),
    "train": _own("training", "train a stage: 720p, 1080p, distill, evae", "run"),
    "memory": _own("training", "say what a stage will hold on each GPU, and whether that fits", "plan"),
    "export": _own("training", "a model directory of any checkpoint", "export"),
    "push-model": _own("training", "a model directory with its card, to the Hugging Face Hub or into a folder", "push"),
    "negatives": _own("training", "failure cases, as one more pool of encoded clips", "negatives"),
    "info": _own("model", "what a model costs at a size and length", "info"),
    "generate": _own("model", "portrait + speech + prompt -> mp4", "generate"),
    "studio": _own("serving", "a page on which videos are made", "studio"),
    "serve": _own("serving", "an HTTP server that makes videos", "serve"),
    "bench": Entry(about="score it: samples, generate, evaluate, report, and more", part="bench", name=None),
    "monitor": _own("infra.monitoring", "watch this machine: Prometheus, and Grafana where it is installed", "run"),
    "serve-models": _own("curation", "start the servers of models that curation asks", "serve-models"),
    "doctor": _own("curation", "say whether a profile can curate here, and what is missing", "doctor"),
    "sample": _own("curation", "make the sample bucket of videos somewhere", "sample"),
    "tiny-models": _own("curation", "random tiny weights of every production model", "tiny-models"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 broken off, 2 a person's mistake, 130 interrupted."""
    word, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    rest = rest[:-1]
    if word in {"-h", "--help"}:
        print(_help())
    elif word in {"-V", "--version"}:
        print(f"soul {_version()}")
    elif word in ENTRIES:
        return _run(word, rest)
    else:
        print(f"soul: {_unknown(word)}; see soul --help", file=sys.stderr)
        return 2
    return 0


def _run(word: str, rest: list[str]) -> int:
    entry = ENTRIES[word]
    line = importlib.import_module(f"{entry.part}.__main__")
    if entry.name is None:
        return int(line.main(rest, prog=f"soul {word}"))
    return int(line.main([word, *rest], prog="soul", commands={word: line.COMMANDS[entry.name]}))


def _help() -> str:
    width = max(map(len, ENTRIES))
    listed = "\n".join(f"  {word:<{width}}  {entry.about}" for word, entry in ENTRIES.items())
    return (
        "usage: soul COMMAND ...\n\n"
        "Digital humans of any length from one portrait, a prompt and speech. In order of use:\n\n"
        f"{listed}\n\n"
        "soul COMMAND --help explains each; soul --version tells the version. Launchers take the module instead:\n"
        "torchrun --nproc-per-node=8 -m -- training run --stage 720p ..."
    )


def _unknown(word: str) -> str:
    if not word or word.startswith("-"):
        return f"give a command first: {', '.join(ENTRIES)}"
    nearest = difflib.get_close_matches(word, ENTRIES, n=1)
    return f"no command {word!r}" + (f", did you mean {nearest[0]!r}?" if nearest else "")


def _version() -> str:
    try:
        return version("soul")
    except PackageNotFoundError:
        return "(not installed: this is a bare checkout)"


if __name__ == "__main__":
    sys.exit(main())
