"""Taking a clip's files out of the shards, with its first frame as a picture: what a video can be made from."""

from __future__ import annotations

from pathlib import Path

import cv2
import pyarrow.compute as pc

from curation.media import iter_frames
from curation.shards.clip_table import open_run
from infra.config import ConfigError

COLUMNS = ("key", "kept", "shard", "audio_kept")


def extract(run: str, directory: Path, key: str | None = None, decisions: str | None = None) -> list[Path]:
    """Write `<key>.mp4`, `.wav` (when it has sound), `.json` and `.png`, its first frame; returns the paths.

    Args:
        run: a run directory.
        directory: where to write; it is made if it does not exist.
        key: a kept clip's key; without one, the first that has sound.
        decisions: the version of the run that says what is kept; None for the run's own index.

    Raises:
        ConfigError: no such clip, or it was not kept.
    """
    opened = open_run(run, decisions)
    wanted = opened.index(
        COLUMNS, where=lambda rows: pc.and_(rows["kept"], pc.equal(rows["key"], key) if key else rows["audio_kept"])
    )
    if not wanted.num_rows:
        raise ConfigError(f"{run} has no kept clip {key!r}" if key else f"{run} has no kept clip with sound")
    (chosen,) = wanted.take(pc.sort_indices(wanted["key"])[:1]).to_pylist()
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for extension, content in opened.sample(chosen["shard"], chosen["key"]).items():
        paths.append(directory / f"{chosen['key']}.{extension}")
        paths[-1].write_bytes(content)
    picture = directory / f"{chosen['key']}.png"
    frame = next(iter_frames(str(directory / f"{chosen['key']}.mp4")))
    cv2.imwrite(str(picture), frame.image)
    return [*paths, picture]
