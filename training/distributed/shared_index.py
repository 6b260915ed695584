"""The index of what there is to train on, read once a node: its processes map one file, and so do their loaders'.

The file lies in the node's temporary directory under a name that changes with what is encoded, so that a training that
goes on only lists the commits.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from curation.encoding.encoded import EncodedDirectory
from infra.config import ConfigError
from training.data.index import COLUMNS, SampleIndex, read_index
from training.distributed.ranks import Ranks

KEPT_S: Final = 7 * 86400.0
"""A file that nobody has asked for in so long is deleted when another is written."""


def read_index_once(
    directory: EncodedDirectory, ranks: Ranks, *, held_out_fraction: float, of_sources: Sequence[str] = ()
) -> SampleIndex:
    """What is committed, as `read_index`; all ranks call it.

    Raises:
        ConfigError: as `read_index`, or nodes see different samples.
    """

    def kept() -> Path:
        return kept_index(directory, held_out_fraction=held_out_fraction, of_sources=of_sources)

    samples = SampleIndex.mapped(ranks.once_a_node(kept))
    if len(set(ranks.gather(samples.fingerprint))) > 1:
        raise ConfigError(
            f"{directory.path}: nodes see different samples there. Wait until nothing is encoded into it any more"
        )
    return samples


def kept_index(directory: EncodedDirectory, *, held_out_fraction: float, of_sources: Sequence[str] = ()) -> Path:
    """The file of this node that has the index; it is read and written where there is none yet.

    Raises:
        ConfigError: as `read_index`.
        OSError: it cannot be written.
    """
    made_of = (directory.path, held_out_fraction, *of_sources, *COLUMNS, directory.state())
    name = hashlib.sha256("\0".join(map(str, made_of)).encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / f"soul-index-{os.getuid()}"
    file = folder / f"{name}.arrow"
    if file.exists():
        os.utime(file)
        return file
    read_index(directory, held_out_fraction=held_out_fraction, of_sources=of_sources).save(file)
    for other in folder.glob("*.arrow"):
        if other.stat().st_mtime < time.time() - KEPT_S:
            other.unlink(missing_ok=True)
    return file
