"""`python -m curation push`: a run as a data set with its card, to the Hub or into a folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from infra.command_line import add_profile, add_run
from infra.hub.push import CARD, add_destination, is_repository, push

if TYPE_CHECKING:
    from curation.push.index import Index
    from infra.hub.pushed_file import PushedFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Give a run away as a data set: shards, index and a card that is written from the run, to a repository of the "
        "Hugging Face Hub or into a folder of the same form. RUN may lie in an object store. The same command goes on "
        "after it was broken off. The records name the source videos as the run was given them."
    )
    add_run(parser, profile_option=False)
    add_destination(parser)
    add = parser.add_argument
    add("--thumbnails", action="store_true", help="keep the thumbnails, which are most of the index")
    add("--quarantine", action="store_true", help="also the records of sources that failed")
    add_profile(parser, "stages.sync.min_confidence=0.3")


def run(options: argparse.Namespace) -> None:
    """Push the run.

    Raises:
        ConfigError: no run directory, nothing is committed in it, or it may not go where it is to go.
        CommandFailedError, OSError: something broke off; the same command goes on.
    """
    from curation.push.index import Index  # noqa: PLC0415 (Arrow takes half a second)
    from curation.shards.clip_table import open_run  # noqa: PLC0415
    from infra.config import ConfigError  # noqa: PLC0415

    index = Index.read(open_run(options.run), thumbnails=options.thumbnails)
    if not index.table.num_rows:
        raise ConfigError(f"{options.run} holds nothing yet: `make curate` fills a run")
    kept = f"{len(index.directory.names()):,} shards of {options.run}"
    files = list(_files(index, options))
    gone = index.directory.no_longer_there() - {file.name for file in files}
    push(files, options, kind="dataset", message=f"Push {kept}", gone=gone)


def _files(index: Index, options: argparse.Namespace) -> Iterator[PushedFile]:
    """Of each shard the clips and then the index, whose appearance is the commit; last the card."""
    from curation.pipeline import CurationConfig  # noqa: PLC0415
    from curation.push.card import dataset_card  # noqa: PLC0415 (Jinja takes its time)
    from infra.config import load_section  # noqa: PLC0415
    from infra.hub.pushed_file import PushedFile  # noqa: PLC0415
    from infra.storage.files import join, list_files  # noqa: PLC0415

    config = load_section(CurationConfig, options.profile, "curation", options.overrides)
    directory, tars = index.directory, []
    there = set(list_files(directory.shards, ".tar"))
    for shard in directory.names():
        if f"{shard}.tar" in there:
            tars.append(PushedFile(name=f"shards/{shard}.tar", source=join(directory.shards, f"{shard}.tar")))
            yield tars[-1]
        yield PushedFile(name=f"shards/{shard}.parquet", content=partial(index.file_of, shard))
    if options.quarantine:
        for unit, path in directory.quarantined().items():
            yield PushedFile(name=f"quarantine/{unit}.json", source=path)
    card = dataset_card(
        index,
        name=options.to if is_repository(options.to) else options.to.rstrip("/").rpartition("/")[2],
        license_id=options.license,
        profile=options.profile,
        config=config,
        has_clips=bool(tars),
        has_quarantine=options.quarantine,
        total_bytes=sum(tar.size() for tar in tars),
    ).encode()
    yield PushedFile(name=CARD, content=lambda: card)
