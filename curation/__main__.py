"""The command line: `python -m curation plan | run | encode | report | show | extract | sample`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ray
from rich.console import Console

from curation.cluster import stopped
from curation.config import ConfigError, load_section
from curation.console import announced_ray, display
from curation.curate import CurationJob
from curation.engine import run_inline, run_on_ray
from curation.extract import extract
from curation.inputs import other_inputs
from curation.pipeline import STAGES, CurationConfig
from curation.planning import Plan, cost_per_video_s, plan_units
from curation.report import write_report
from curation.sample import make_bucket
from curation.schema import Pool
from curation.shards import RunDirectory
from curation.show import show
from curation.sources import list_sources
from curation.storage import is_local, join
from curation.summary import print_summary, summarise

INPUT_HELP = (
    "a directory (searched through), a glob, a video, any of these as s3://…, or a .csv/.jsonl/.parquet manifest with "
    "a column of paths; without it, a small sample bucket is made in RUN/bucket"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 broken off, 2 a person's mistake, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
    except (ConfigError, ConnectionError) as error:
        print(f"curation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("curation: interrupted; the same command goes on from what is committed", file=sys.stderr)
        return 130
    except ray.exceptions.RayError as error:
        print(f"curation: {stopped(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk, a read-only directory, a store that does not answer: it says which file. What happens in a task
        # of Ray's is both an OSError and a RayError, and has been said.
        print(f"curation: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m curation", description="Turn raw human video into Soul-1M: annotated WebDataset shards."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="say what a run would do and cost, without doing it")
    _add_input(plan)
    plan.set_defaults(command=_plan)

    run = commands.add_parser("run", help="curate; goes on where an earlier run on the same RUN stopped")
    _add_input(run)
    _add_engine(run)
    run.set_defaults(command=_run)

    encode = commands.add_parser("encode", help="turn curated shards into what training reads; adds what is new")
    _add_run(encode)
    encode.add_argument("--stage", required=True, metavar="STAGE", help="720p or 1080p: a stage of the profile")
    encode.add_argument(
        "--model", metavar="DIR", help="whose encoders: a model directory, a Hub id or `tiny` (default: the profile's)"
    )
    _add_profile(encode, "min_frames=33")
    _add_engine(encode)
    encode.set_defaults(command=_encode)

    report = commands.add_parser("report", help="write RUN/report.html from what is committed")
    _add_run(report)
    report.set_defaults(command=_report)

    record = commands.add_parser("show", help="print the whole record of one clip or source")
    record.add_argument("key", metavar="KEY", help="a clip's or a source's key, as in the index")
    _add_run(record)
    record.set_defaults(command=_show)

    clip = commands.add_parser("extract", help="write a clip's files and its first frame: a portrait and speech to use")
    clip.add_argument("key", nargs="?", metavar="KEY", help="a kept clip's key (default: the first with sound)")
    _add_run(clip)
    clip.add_argument("--out", required=True, metavar="DIR", type=Path, help="where to write")
    clip.set_defaults(command=_extract)

    sample = commands.add_parser("sample", help="make the sample bucket")
    sample.add_argument("directory", metavar="DIR", type=Path)
    sample.set_defaults(command=_sample)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", default="runs/local", metavar="RUN", help="run directory or URI (default: %(default)s)"
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", nargs="?", metavar="INPUT", help=INPUT_HELP)
    _add_run(parser)
    parser.add_argument(
        "--pool", type=Pool, choices=tuple(Pool), default=Pool.HUMAN,
        help="general: animals, animation, scenery; faces recorded, not required; audio dropped (default: human)",
    )  # fmt: skip
    parser.add_argument("--path-column", metavar="NAME", help="the manifest's column of paths (default: found by name)")
    _add_profile(parser, "stages.sync.min_confidence=3")


def _add_profile(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument("--profile", default="local", help="a name in infra/profiles or a YAML file (default: local)")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help=f"override a field of the profile, e.g. {example}; may be repeated",
    )  # fmt: skip


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("ray", "inline"),
        default="ray",
        help="inline: in this process, for debugging (default: ray)",
    )


def _plan(options: argparse.Namespace) -> None:
    console, config = Console(), _config(options)
    plan = _make_plan(options, config)
    _print_plan(console, options, plan)
    measured = cost_per_video_s(RunDirectory(options.run))
    rate = measured if measured is not None else config.planning.cost_cpu_s_per_video_s
    basis = "measured on what this run has committed" if measured is not None else "the profile's estimate"
    console.print(f"stages  {', '.join(STAGES)}", soft_wrap=True, highlight=False)
    console.print(
        f"cost    about {plan.duration_s * rate / 3600:.2g} CPU hours: {rate:.2g} CPU s a second of video, {basis}",
        soft_wrap=True,
        highlight=False,
    )


def _run(options: argparse.Namespace) -> None:
    console = Console()
    config = _config(options)
    plan = _make_plan(options, config)
    _print_plan(console, options, plan)
    before = summarise(options.run) if plan.num_done else None
    start, job = time.monotonic(), CurationJob(run=options.run, config=config)
    with display(console, len(plan.units)) as drawing:
        if options.engine == "inline":
            run_inline(plan.units, job, drawing.show)
        elif plan.units:
            with announced_ray(console):
                run_on_ray(plan.units, job, drawing.show)
        else:
            job.open()
    print_summary(summarise(options.run), console, time.monotonic() - start if plan.units else None, before)
    console.print(f"shards  {join(options.run, 'shards')}", soft_wrap=True)
    console.print(f"report  {write_report(options.run)}", soft_wrap=True)


def _encode(options: argparse.Namespace) -> None:
    # Imports torch and diffusers, which takes seconds that the other commands need not pay.
    from curation.encode.command import encode  # noqa: PLC0415

    encode(options)


def _report(options: argparse.Namespace) -> None:
    print(write_report(options.run))


def _show(options: argparse.Namespace) -> None:
    Console().print(show(options.run, options.key))


def _extract(options: argparse.Namespace) -> None:
    for path in extract(options.run, options.out, options.key):
        print(path)


def _sample(options: argparse.Namespace) -> None:
    _make_sample(Console(), options.directory)


def _make_sample(console: Console, directory: Path) -> None:
    with console.status(f"Making a sample bucket in {directory} ...") as status:
        make_bucket(
            directory,
            progress=lambda done, total, name: status.update(
                f"Making a sample bucket in {directory}: {done}/{total} {name}"
            ),
        )
    console.print(f"sample bucket  {directory}", soft_wrap=True)


def _config(options: argparse.Namespace) -> CurationConfig:
    return load_section(CurationConfig, options.profile, "curation", options.overrides)


def _make_plan(options: argparse.Namespace, config: CurationConfig) -> Plan:
    console = Console()
    if options.input is None:
        if not is_local(options.run):
            raise ConfigError("give INPUT: a sample bucket can only be made in a local RUN")
        bucket = Path(options.run) / "bucket"
        _make_sample(console, bucket)
        options.input = str(bucket)

    def say(line: str) -> None:
        console.print(f"note: {line}", soft_wrap=True, highlight=False, markup=False)

    sources = list_sources(options.input, options.pool, options.path_column, config.sources, say)
    others = other_inputs(options.run, options.input, remember=options.command is _run)
    if others is not None:
        say(others)
    directory = RunDirectory(options.run)
    committed = directory.committed()
    _warn_of_other_configurations(console, directory, config)
    with console.status("Reading headers ...") as status:
        return plan_units(
            sources, committed, config.planning, lambda count: status.update(f"Reading headers: {count}/{len(sources)}")
        )


def _warn_of_other_configurations(console: Console, directory: RunDirectory, config: CurationConfig) -> None:
    table = directory.index(["config_hash"])
    others = set(table["config_hash"].to_pylist()) - {config.hash} if table.num_rows else set()
    if others:
        console.print(
            f"note: {directory.run} already holds clips decided under other settings ({', '.join(sorted(others))}; now "
            f"{config.hash}); they stay as they are. Use another --run to decide everything anew.",
            soft_wrap=True,
            highlight=False,
        )


def _print_plan(console: Console, options: argparse.Namespace, plan: Plan) -> None:
    unknown = f", {plan.num_unknown} of them with an unreadable header" if plan.num_unknown else ""
    console.print(
        f"{plan.num_sources} sources in {options.input}: {len(plan.units)} units to do{unknown}, {plan.num_done} done; "
        f"{plan.duration_s / 60:.1f} min of video",
        soft_wrap=True,
        highlight=False,
    )


if __name__ == "__main__":
    sys.exit(main())
