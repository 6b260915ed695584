"""What comes before the work: settings, the sample bucket, the list of videos, the plan, and what people must know."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from curation.clip.schema import Pool, Source
from curation.commands.cost import COST_COLUMNS, stage_cost
from curation.commands.methods import LesserMethod, lesser_methods
from curation.commands.sample_run import BUCKET, check_none_of_sample, check_not_mixed
from curation.decisions.applying import units_to_compute, version_of
from curation.pipeline import CurationConfig, methods_in_use
from curation.planning import CurationPlan, Selection, plan_units
from curation.sample import make_bucket
from curation.shards.done_units import DONE_COLUMNS, Done
from curation.shards.failed_units import FailedUnits
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import Version
from curation.sources import list_sources
from curation.sources.header_cache import HeaderCache
from curation.sources.header_readers import HeaderFile, read_headers
from curation.sources.headers import Header
from curation.sources.inputs import other_inputs
from infra.config import ConfigError, load_section
from infra.jobs.reach import check_reach, given_address
from infra.jobs.waiting import reasons
from infra.storage.files import is_local

LEDGER_COLUMNS = (*DONE_COLUMNS, "config_hash")
"""What every command needs of the ledger, which is read once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A run that is about to begin."""

    run: str
    """The run directory."""
    config: CurationConfig
    plan: CurationPlan
    console: Console
    clips: RunDirectory
    """The run's clips, or those of the version; what has been read of their index is kept."""
    version: Version | None = None
    """The version of the run's index that the work is for; None for the run itself."""
    stage_cost: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds of a worker for a second of video, by stage, where that was asked for and has been measured."""


def prepare(options: argparse.Namespace, *, allow_local_methods: bool | None, engine: str | None = None) -> Prepared:
    """Check what was asked for, plan the work and tell what there is to do.

    Args:
        options: those of `plan` or `run`.
        allow_local_methods: whether to go on where the profile asks for models that are not there; with None they are
            only named, and what is committed is measured.
        engine: that will do the work, and reads headers on its cluster; None where nothing will be done.

    Raises:
        ConfigError: a profile, an input or a run directory is not what it should be, or models are missing.
    """
    console, only_looks = Console(markup=False), allow_local_methods is None
    config = load_section(CurationConfig, options.profile, "curation", options.overrides)
    _check_methods(console, options.profile, config, allow=allow_local_methods)
    if not only_looks:
        _check_models(console, options.profile, config)
    check_not_mixed(options.run, options.input)
    location = options.input if options.input is not None else _sample(console, options.run)

    def say(line: str) -> None:
        _print(console, f"note: {line}")

    with console.status("Listing videos ...") as status:
        sources = list_sources(
            location, Pool(options.pool), options.path_column, config.sources,
            note=say, progress=lambda count: status.update(f"Listing videos: {count}"),
        )  # fmt: skip
    check_none_of_sample(options.run, sources)
    if engine == "ray" and given_address() is not None:
        own = next((source.uri for source in sources if is_local(source.uri)), None)
        check_reach({f"{location} names": own}, shared=options.shared_paths)
    others = other_inputs(options.run, location, remember=not only_looks)
    if others is not None:
        say(others)
    directory = RunDirectory(options.run).remembering()
    ledger = directory.index([*LEDGER_COLUMNS, *(COST_COLUMNS if only_looks else ())])
    cost = stage_cost(ledger) if only_looks else {}
    hashes = set(ledger["config_hash"].unique().to_pylist()) if ledger.num_rows else set()
    version = version_of(options.run, config) if hashes and config.hash not in hashes else None
    planner = _Planner(console=console, config=config, options=options, engine=engine, say=say)
    if version is None:
        if hashes - {config.hash}:
            say(
                f"{directory.run} already holds clips decided under other settings "
                f"({', '.join(sorted(hashes - {config.hash}))}; now {config.hash}); they stay as they are. Use another "
                "--run to decide everything anew."
            )
        again = _to_retry(directory, options.retry, say)
        plan = planner.plan(sources, Done.of(ledger, directory.shards, again))
        _tell(console, location, plan)
        _tell_retried(console, plan.num_again, again)
    else:
        plan = _plan_version(planner, version, sources, Done.of(ledger, directory.shards))
    _tell_what_waits(console, plan)
    clips = directory if version is None else version.remembering()
    return Prepared(
        run=options.run, config=config, plan=plan, console=console, clips=clips, version=version, stage_cost=cost
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planner:
    """Plans with what was asked for."""

    console: Console
    config: CurationConfig
    options: argparse.Namespace
    engine: str | None
    say: Callable[[str], None]

    def plan(self, sources: Sequence[Source], done: Done) -> CurationPlan:
        """The plan of these sources."""
        options = self.options
        with self.console.status("Reading headers ...") as status:
            return plan_units(
                sources,
                done,
                self.config.planning,
                lambda count, total: status.update(f"Reading headers: {count}/{total}"),
                selection=Selection(
                    part=options.slice, seed=options.seed if options.shuffle else None, limit=options.limit
                ),
                cache=HeaderCache(options.run, self.say),
                read=self._read,
            )

    def _read(self, files: Sequence[HeaderFile]) -> Iterator[tuple[HeaderFile, Header]]:
        """On the cluster that will do the work, where there is one and it is worth it; else here."""
        helpers, timeout_s = self.config.planning.num_processes, self.config.planning.probe_timeout_s
        if self.engine == "ray" and given_address() is not None:
            from curation.sources.header_tasks import BATCH_FILES, read_headers_on_ray  # noqa: PLC0415 (imports Ray)

            if len(files) > BATCH_FILES:
                return read_headers_on_ray(files, num_helpers=helpers, timeout_s=timeout_s)
        return read_headers(files, num_helpers=helpers, timeout_s=timeout_s)


def _plan_version(planner: _Planner, version: Version, sources: Sequence[Source], done: Done) -> CurationPlan:
    """Plan what a version still waits for, and nothing else."""
    again = _to_retry(version.own, planner.options.retry, planner.say)
    console, work = planner.console, version.work(again)
    waited_for = {each.source for each in work.values()}
    given = [source for source in sources if source.uri in waited_for]
    planned = planner.plan(given, done.cut_as_before())
    units = units_to_compute(version, planned.units, again)
    lengths = {unit.key: seconds for unit, seconds in zip(planned.units, planned.seconds, strict=True)}
    seconds = tuple(lengths[unit.key] for unit in units)
    num_again = sum(unit.replaces is not None for unit in units)
    plan = replace(
        planned, units=tuple(units), num_done=0, duration_s=sum(seconds), seconds=seconds, num_again=num_again
    )
    clips = sum(len(unit.wanted) for unit in units if unit.wanted is not None)
    _print(
        console,
        f"these are the settings of decisions {version.name}: {len(units)} units have something to compute for it "
        f"({clips} clips, and {sum(unit.wanted is None for unit in units)} units as a whole)"
        f"{_left_out(plan)}; nothing else is done",
    )
    _tell_retried(console, plan.num_again, again)
    if missing := len(waited_for - {source.uri for source in given}):
        planner.say(f"{missing} sources that it waits for are not in INPUT")
    if newer := version.newer_shards():
        planner.say(f"{len(newer)} shards are newer than {version.name}; `decide --apply` takes them in")
    return plan


def make_sample(console: Console, directory: Path) -> None:
    """Make the sample bucket, or what is missing of it, and say where."""
    with console.status(Text(f"Making a sample bucket in {directory} ...")) as status:
        make_bucket(
            directory,
            progress=lambda done, total, name: status.update(
                Text(f"Making a sample bucket in {directory}: {done}/{total} {name}")
            ),
        )
    console.print(f"sample bucket  {directory}", soft_wrap=True, highlight=False)


def _sample(console: Console, run: str) -> str:
    if not is_local(run):
        raise ConfigError("give INPUT: a sample bucket can only be made in a local RUN")
    bucket = Path(run) / BUCKET
    make_sample(console, bucket)
    return str(bucket)


def _check_models(console: Console, profile: str, config: CurationConfig) -> None:
    """Refuse a run whose models are not all there, before anything is made or listed.

    Raises:
        ConfigError: something is missing; lines on the console say what.
    """
    if not any(use.method.models for use in methods_in_use(config.stages)):
        return
    from curation.commands.missing import tell_missing  # noqa: PLC0415 (imports Ray)
    from curation.readiness import readiness  # noqa: PLC0415

    if num := tell_missing(console, config, readiness(config)):
        raise ConfigError(f"{profile} cannot run here: {num} of the lines above begin with `missing`")


def _check_methods(console: Console, profile: str, config: CurationConfig, *, allow: bool | None) -> None:
    """Say which stages fall short of what the profile asks for, and refuse unless that is allowed."""
    lesser = lesser_methods(config.stages) if config.requires == "paper" else []
    if not lesser:
        return
    if allow is False:
        raise ConfigError(
            f"{_shortfall(profile, lesser)}: {'; '.join(map(str, lesser))}. --allow-local-methods runs them"
        )
    console.print(Text(f"{_shortfall(profile, lesser)}:", "bold red"), soft_wrap=True)
    for method in lesser:
        console.print(Text(f"  {method}", "red"), soft_wrap=True)
    if allow is None:
        console.print(Text("  `run` refuses this without --allow-local-methods", "red"), soft_wrap=True)


def _shortfall(profile: str, lesser: list[LesserMethod]) -> str:
    return f"{profile} asks for the paper's models, and {len(lesser)} stages choose a lesser method"


def _tell(console: Console, location: str, plan: CurationPlan) -> None:
    unknown = f", {plan.num_unknown} of them with an unreadable header" if plan.num_unknown else ""
    _print(
        console,
        f"{plan.num_sources} sources in {location}{_of_part(plan)}: {len(plan.units)} units to do{unknown}, "
        f"{plan.num_done} done; {plan.duration_s / 60:.1f} min of video{_left_out(plan)}",
    )


def _to_retry(directory: RunDirectory, rule: str | None, say: Callable[[str], None]) -> dict[str, str]:
    """The units in quarantine that are to be done again, by their keys, with the shards that have them.

    Raises:
        ConfigError: none failed under this rule.
    """
    if rule is None:
        return {}
    found = FailedUnits.of(directory).by(rule)
    if not found:
        say(f"--retry {rule}: nothing is in quarantine in {directory.run}")
    return found


def _tell_retried(console: Console, number: int, asked: Mapping[str, str]) -> None:
    if asked:
        left = "" if number >= len(asked) else "; the others are not among the videos of this run"
        _print(console, f"{number} of {len(asked)} units in quarantine that --retry names are done again{left}")


def _of_part(plan: CurationPlan) -> str:
    if not plan.num_in_other_parts:
        return ""
    return f" ({plan.num_in_other_parts} more are of other slices)"


def _left_out(plan: CurationPlan) -> str:
    return f"; {plan.num_beyond_limit} more sources are left out by --limit" if plan.num_beyond_limit else ""


def _tell_what_waits(console: Console, plan: CurationPlan) -> None:
    """Say which sources could not be reached, and why: they are neither done nor judged."""
    number = sum(plan.unreachable.values())
    if not number:
        return
    sources = "source" if number == 1 else "sources"
    _print(console, f"{number} {sources} could not be reached: {reasons(plan.unreachable)}; the same command goes on")


def _print(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
