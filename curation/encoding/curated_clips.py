"""Reading a curated shard clip by clip, in any order."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from curation.media import MediaError
from curation.shards.run_directory import RunDirectory
from infra.storage.files import local_copy

COLUMNS = (
    *("key", "source", "pool", "kept", "shot_start_s", "shot_end_s", "parent_key", "width", "height"),
    "num_frames",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CuratedClip:
    """A kept clip as the shard's index has it."""

    key: str
    source: str
    pool: str
    shot: tuple[float, float]
    """Start and end of its shot in the source, in seconds."""
    is_crop: bool
    """Whether it was cropped out of another clip."""
    width: int
    height: int
    num_frames: int
    """Frames of its mp4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFiles:
    """A clip's files, unpacked."""

    mp4: str
    wav: str | None
    prompts: tuple[str, ...]
    """Its captions, the detailed one first; empty when it has none."""


def kept_clips(run: RunDirectory, shard: str) -> list[CuratedClip]:
    """The clips that a committed shard holds, in the index' order."""
    rows = run.rows_of(shard, COLUMNS).to_pylist()
    return [
        CuratedClip(
            key=row["key"],
            source=row["source"],
            pool=row["pool"],
            shot=(row["shot_start_s"], row["shot_end_s"]),
            is_crop=row["parent_key"] is not None,
            width=row["width"],
            height=row["height"],
            num_frames=row["num_frames"] or 0,
        )
        for row in rows
        if row["kept"]
    ]


class ClipReader:
    """A shard's tar on this machine, indexed. Clips that a damaged tar has lost are given as errors."""

    def __init__(self, path: str | None, folder: Path) -> None:
        self._folder = folder
        self._path = path
        self._places: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        self._damage = "not in the shard's tar, or where it breaks off"
        if path is None:
            self._damage = "the shard's tar is missing"
            return
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    key, _, extension = member.name.partition(".")
                    self._places[key][extension] = (member.offset_data, member.size)
        except (tarfile.TarError, EOFError) as error:
            self._damage = f"the shard's tar breaks off or is not a tar: {error}"

    @contextmanager
    def unpack(self, keys: Sequence[str]) -> Iterator[dict[str, ClipFiles | MediaError]]:
        """The files of some clips, deleted afterwards; for a clip without files the error that says why."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield {key: self._unpack(key, Path(folder)) for key in keys}

    def _unpack(self, key: str, folder: Path) -> ClipFiles | MediaError:
        places = self._places.get(key, {})
        if not {"mp4", "json"} <= places.keys():
            return MediaError("missing", self._damage)
        paths: dict[str, str] = {}
        try:
            caption = json.loads(self._read(*places["json"])).get("caption") or {}
            prompts = [caption.get("detailed") or "", caption.get("brief") or ""]
            for extension in places.keys() & {"mp4", "wav"}:
                path = folder / f"{key}.{extension}"
                path.write_bytes(self._read(*places[extension]))
                paths[extension] = str(path)
        except MediaError as error:
            return error
        except (ValueError, AttributeError) as error:
            return MediaError("unreadable", f"its JSON: {error}")
        prompts = [prompt for prompt in dict.fromkeys(prompts) if prompt.strip()]
        return ClipFiles(mp4=paths["mp4"], wav=paths.get("wav"), prompts=tuple(prompts))

    def _read(self, offset: int, size: int) -> bytes:
        assert self._path is not None
        with Path(self._path).open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) < size:
            raise MediaError("missing", self._damage)
        return data


@contextmanager
def open_shard(run: RunDirectory, shard: str) -> Iterator[ClipReader]:
    """A committed shard's clips; a remote tar is fetched, and deleted afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soul-")))
        try:
            path = stack.enter_context(local_copy(run.tar(shard)))
        except FileNotFoundError:
            path = ""
        yield ClipReader(path if Path(path).is_file() else None, folder)
