"""Listing what is to be curated: a directory, a pattern, a file, `s3://…`, or a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from urllib.parse import unquote

from curation.clip.schema import Pool, Source
from curation.sources.folders import Found, files_below, may_be_video, objects_below
from curation.sources.manifest import MANIFESTS, Entry, read_manifest
from curation.sources.patterns import has_wildcard, matching_files, matching_objects
from curation.sources.plain import spelled_out
from curation.sources.schemes import SourcesConfig, canonical, check_scheme
from infra.config import ConfigError
from infra.storage.files import filesystem, is_local, scheme_of, store_errors
from infra.storage.object_pages import found_object, is_prefix

PROGRESS_EVERY = 1000
"""Videos after which it is said how many have been found: a page of a store's listing."""
LIST_STAGE = "probe"
"""The stage under which a source is recorded that was found but cannot be named or reached."""


def list_sources(
    location: str,
    pool: Pool = Pool.HUMAN,
    path_column: str | None = None,
    config: SourcesConfig | None = None,
    *,
    note: Callable[[str], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Source]:
    """Every video that `location` names, in a stable order, each file once however many names it has.

    What cannot be used (a name that is not UTF-8, a directory that may not be read) is a source that has failed. What
    runs have made (shards, encoded samples, the sample bucket) is left out of directories.

    Args:
        location: a directory (searched through), a pattern, one file, any of these as a URI, or a CSV, JSON lines or
            Parquet manifest with a column of paths; a manifest's further columns become metadata, and its column
            `pool`, if any, overrides `pool`. Relative paths in a manifest are relative to it. A name that exists is
            taken as it is, whatever characters it has; any other name is a pattern if it has wildcards.
        pool: the pool that the videos are meant for.
        path_column: the manifest's column of paths.
        config: what may be read.
        note: called with what a person should know but does not have to act on.
        progress: called with the number of videos found so far.

    Raises:
        ConfigError: nothing is there, or the manifest cannot be read.
    """
    config = config or SourcesConfig()
    check_scheme(location, config)
    runs: set[str] = set()
    is_folder = is_local(location) and os.path.isdir(local_path(location))  # noqa: PTH112 (plain strings throughout)
    if location.lower().endswith(MANIFESTS) and not is_folder:
        found = (_from_entry(entry, location, pool, config) for entry in read_manifest(location, path_column))
    else:
        found = (_from_found(each, pool) for each in _expand(location, runs))
    unique, num_found = _unique(_counted(found, progress))
    if runs:
        note(f"what the run{'s' if len(runs) > 1 else ''} in {', '.join(sorted(runs))} made is no input: left out")
    if not unique:
        raise ConfigError(f"no videos in {location}")
    if len(unique) < num_found:
        note(
            f"{num_found - len(unique)} of {num_found} entries in {location} name a file that another one names: "
            "it is one source, with what the first entry says of it"
        )
    return sorted(unique, key=lambda source: source.uri)


def _counted(sources: Iterable[Source], progress: Callable[[int], None]) -> Iterator[Source]:
    for number, source in enumerate(sources, start=1):
        if number % PROGRESS_EVERY == 0:
            progress(number)
        yield source


def _unique(sources: Iterable[Source]) -> tuple[list[Source], int]:
    """One source for each file, and how many there were: the first one of each, under the file's own name if any source
    has it (the others are links)."""
    unique: dict[str, Source] = {}
    folders: dict[str, str] = {}
    num_sources = 0
    for source in sources:
        num_sources += 1
        identity = _identity(source, folders)
        if identity not in unique:
            unique[identity] = source
        elif source.uri == identity:
            unique[identity] = replace(unique[identity], uri=identity)
    return list(unique.values()), num_sources


def local_path(location: str) -> str:
    """The absolute path that a path or `file://` URI of this machine means."""
    _, plain = filesystem(location)
    lexical = "/" + os.path.normpath(plain).lstrip("/")
    # After a linked directory `..` is the parent of the link's target.
    if ".." in plain.split("/") and os.path.realpath(plain) != os.path.realpath(lexical):
        return os.path.realpath(plain)
    return lexical


def _expand(location: str, runs: set[str]) -> Iterator[Found]:
    try:
        with store_errors():
            yield from _local(local_path(location), runs) if is_local(location) else _remote(location, runs)
    except (OSError, ImportError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot list {location}: {' '.join(str(error).split())}") from error


def _local(path: str, runs: set[str]) -> Iterator[Found]:
    if os.path.isdir(path):  # noqa: PTH112
        yield from files_below(path, runs)
    elif os.path.lexists(path):
        yield Found.here(path, lambda: os.stat(path))  # noqa: PTH116
    elif has_wildcard(path):
        yield from matching_files(path, runs)
    else:
        raise ConfigError(f"no such file or directory: {path}")


def _remote(location: str, runs: set[str]) -> Iterator[Found]:
    fs, plain = filesystem(location)
    if is_prefix(fs, plain):
        objects = objects_below(fs, plain, runs, may_be_video)
    elif fs.exists(plain):
        objects = iter([Found.of(found_object(fs.info(plain), plain))])
    elif has_wildcard(plain):
        objects = matching_objects(fs, plain, runs)
    else:
        raise ConfigError(f"no such file or directory: {location}")
    for each in objects:
        yield Found(fs.unstrip_protocol(each.path), size=each.size, stamp=each.stamp)


def _from_found(found: Found, pool: Pool) -> Source:
    source = Source(uri=spelled_out(found.path), pool=pool, size=found.size, stamp=found.stamp)
    if source.uri != found.path:
        return _unwritable(source)
    if found.problem is None:
        return source
    rule = "no_permission" if isinstance(found.problem, PermissionError) else "unreadable"
    return source.fail(LIST_STAGE, rule, f"the directory cannot be listed: {found.problem}")


def _unwritable(source: Source) -> Source:
    """The source, failed: its name is not Unicode and fits into no record, so its bytes are spelled out."""
    return source.fail(LIST_STAGE, "name_not_utf8", f"file names must be valid UTF-8; rename {source.uri}")


def _from_entry(entry: Entry, manifest: str, pool: Pool, config: SourcesConfig) -> Source:
    try:
        own_pool = Pool(entry.pool or pool)
    except ValueError as error:
        complaint = entry.place.complaint(f": {error}; there are human and general")
        raise ConfigError(f"{manifest}: {complaint}") from error
    name = spelled_out(entry.path)
    path = _resolve(name, manifest)
    try:
        check_scheme(path, config)
    except ConfigError as error:
        raise ConfigError(f"{manifest}: {entry.place.complaint(f': {error}')}") from error
    source = Source(uri=path, pool=own_pool, metadata=entry.metadata)
    return source if name == entry.path else _unwritable(source)


def _resolve(path: str, manifest: str) -> str:
    """The path or URI that a manifest's entry means, in one spelling.

    Blanks around a path belong to it only where such a file exists on this machine.
    """
    scheme = scheme_of(path.strip())
    if scheme is not None and not is_local(path.strip()):
        return canonical(scheme) + path.strip()[len(scheme) :]
    if scheme is None and "://" in path and "::" in path:
        return path  # a chain, which will be refused
    if scheme is None and not path.strip().startswith("/") and not is_local(manifest):
        return _beside_object(path.strip(), manifest)
    return _existing(path, os.path.dirname(local_path(manifest)) if is_local(manifest) else "/")  # noqa: PTH120


def _beside_object(path: str, manifest: str) -> str:
    """A relative path in a manifest in an object store; only dots are resolved: `a//b` is a key of its own."""
    scheme, _, rest = manifest.partition("://")
    names = rest.split("/")[:-1]
    for name in path.split("/"):
        if name == ".." and len(names) > 1:
            names.pop()
        elif name not in (".", ".."):
            names.append(name)
    return f"{canonical(scheme)}://{'/'.join(names)}"


def _existing(path: str, folder: str) -> str:
    spellings = [path, path.strip()]
    if scheme_of(path.strip()) is not None and "%" in path:
        spellings.append(unquote(path.strip()))
    for spelling in spellings:
        candidate = _beside(spelling, folder)
        if os.path.lexists(candidate):
            return candidate
    return _beside(path.strip(), folder)


def _beside(path: str, folder: str) -> str:
    return local_path(path if scheme_of(path) is not None else os.path.join(folder, path))  # noqa: PTH118


def _identity(source: Source, folders: dict[str, str]) -> str:
    """What all names of one file have in common: its path without links. `folders` remembers that of directories."""
    if source.failure is not None or not is_local(source.uri):
        return source.uri
    folder, name = os.path.split(source.uri)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    path = os.path.join(folders[folder], name)  # noqa: PTH118
    return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114
