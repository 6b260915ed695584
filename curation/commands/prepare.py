"""What comes before the work: settings, the sample bucket, the list of videos, the plan, and what people must know."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from curation.clip.schema import Pool, Source
from curation.commands.methods import LesserMethod, lesser_methods
from curation.commands.sample_run import BUCKET, check_none_of_sample, check_not_mixed
from curation.decisions.applying import units_to_compute, version_of
from curation.pipeline import CurationConfig, methods_in_use
from curation.planning import CurationPlan, plan_units
from curation.sample import make_bucket
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import Version
from curation.sources import list_sources
from curation.sources.inputs import other_inputs
from infra.config import ConfigError, load_section
from infra.storage.files import is_local


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A run that is about to begin."""

    run: str
    """The run directory."""
    config: CurationConfig
    plan: CurationPlan
    console: Console
    version: Version | None = None
    """The version of the run's index that the work is for; None for the run itself."""


def prepare(options: argparse.Namespace, *, allow_local_methods: bool | None) -> Prepared:
    """Check what was asked for, plan the work and tell what there is to do.

    Args:
        options: those of `plan` or `run`.
        allow_local_methods: whether to go on where the profile asks for models that are not there; with None they are
            only named.

    Raises:
        ConfigError: a profile, an input or a run directory is not what it should be, or models are missing.
    """
    console = Console(markup=False)
    config = load_section(CurationConfig, options.profile, "curation", options.overrides)
    _check_methods(console, options.profile, config, allow=allow_local_methods)
    if allow_local_methods is not None:
        _check_models(console, options.profile, config)
    check_not_mixed(options.run, options.input)
    location = options.input if options.input is not None else _sample(console, options.run)

    def say(line: str) -> None:
        _print(console, f"note: {line}")

    sources = list_sources(location, Pool(options.pool), options.path_column, config.sources, say)
    check_none_of_sample(options.run, sources)
    others = other_inputs(options.run, location, remember=allow_local_methods is not None)
    if others is not None:
        say(others)
    version = _version(options.run, config)
    if version is not None:
        return _prepare_version(console, options.run, config, version, sources)
    directory = RunDirectory(options.run)
    committed = directory.committed()
    _warn_of_other_configurations(console, directory, config)
    with console.status("Reading headers ...") as status:
        plan = plan_units(
            sources, committed, config.planning, lambda count: status.update(f"Reading headers: {count}/{len(sources)}")
        )
    _tell(console, location, plan)
    return Prepared(run=options.run, config=config, plan=plan, console=console)


def _version(run: str, config: CurationConfig) -> Version | None:
    """The version of the run that has these settings, where the run itself was decided by others."""
    hashes = RunDirectory(run).index(["config_hash"])
    if hashes.num_rows and config.hash not in set(hashes["config_hash"].to_pylist()):
        return version_of(run, config)
    return None


def _prepare_version(
    console: Console, run: str, config: CurationConfig, version: Version, sources: Sequence[Source]
) -> Prepared:
    """Plan what a version still waits for, and nothing else."""
    work = version.work()
    waited_for = {each.source for each in work.values()}
    given = [source for source in sources if source.uri in waited_for]
    with console.status("Reading headers ...") as status:
        planned = plan_units(
            given, set(), config.planning, lambda count: status.update(f"Reading headers: {count}/{len(given)}")
        )
    units = units_to_compute(version, planned.units)
    lengths = {unit.key: seconds for unit, seconds in zip(planned.units, planned.seconds, strict=True)}
    plan = replace(
        planned,
        units=tuple(units),
        num_sources=len(given),
        num_done=0,
        duration_s=sum(lengths[unit.key] for unit in units),
        seconds=tuple(lengths[unit.key] for unit in units),
    )
    clips = sum(len(unit.wanted) for unit in units if unit.wanted is not None)
    _print(
        console,
        f"these are the settings of decisions {version.name}: {len(units)} units have something to compute for it "
        f"({clips} clips, and {sum(unit.wanted is None for unit in units)} units as a whole); nothing else is done",
    )
    if missing := len(waited_for - {source.uri for source in given}):
        _print(console, f"note: {missing} sources that it waits for are not in INPUT")
    if newer := version.newer_shards():
        _print(console, f"note: {len(newer)} shards are newer than {version.name}; `decide --apply` takes them in")
    return Prepared(run=run, config=config, plan=plan, console=console, version=version)


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


def _warn_of_other_configurations(console: Console, directory: RunDirectory, config: CurationConfig) -> None:
    table = directory.index(["config_hash"])
    others = set(table["config_hash"].to_pylist()) - {config.hash} if table.num_rows else set()
    if others:
        _print(
            console,
            f"note: {directory.run} already holds clips decided under other settings ({', '.join(sorted(others))}; now "
            f"{config.hash}); they stay as they are. Use another --run to decide everything anew.",
        )


def _tell(console: Console, location: str, plan: CurationPlan) -> None:
    unknown = f", {plan.num_unknown} of them with an unreadable header" if plan.num_unknown else ""
    _print(
        console,
        f"{plan.num_sources} sources in {location}: {len(plan.units)} units to do{unknown}, {plan.num_done} done; "
        f"{plan.duration_s / 60:.1f} min of video",
    )


def _print(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
