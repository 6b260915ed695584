"""What lies in a run's shards beside the index: thumbnails, clips with their sound, single files, whole records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from curation.browse.collection import Run
from curation.browse.remembered import Remembered
from curation.media.errors import MediaError
from curation.media.with_sound import with_sound
from curation.report.record import Record, record_of
from curation.shards.clip_table import read_shard
from curation.shards.run_directory import files_by_extension
from infra.storage.tar_members import TarMember, tar_members

THUMBNAIL_BYTES: Final = 64 << 20
CLIP_BYTES: Final = 256 << 20
MEMBER_BYTES: Final = 200
"""What a member of a tar takes in memory, about."""
MEMBERS_BYTES: Final = 64 << 20


class NotThereError(Exception):
    """A clip has no such file; the message is one line."""


class ShardFiles:
    """The files of one run's shards, read when they are asked for; what was read last is kept."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._thumbnails = Remembered(
            self._read_thumbnails, size_of=lambda kept: sum(map(len, kept.values())) + 1, most=THUMBNAIL_BYTES
        )
        self._members = Remembered(
            self._read_members, size_of=lambda kept: MEMBER_BYTES * len(kept) + 1, most=MEMBERS_BYTES
        )
        self._playable = Remembered(self._read_playable, size_of=len, most=CLIP_BYTES)

    def thumbnail(self, shard: str, key: str) -> bytes:
        """A JPEG.

        Raises:
            NotThereError: it has none.
            ConfigError, OSError: the shard's index is damaged or cannot be read.
        """
        jpeg = self.run.directory.read_of(shard, key, self._thumbnails).get(key)
        if jpeg is None:
            raise NotThereError(f"{key} has no picture")
        return jpeg

    def file(self, shard: str, key: str, extension: str) -> TarMember:
        """Where one of a clip's files lies.

        Raises:
            NotThereError: it has none of that kind.
            ConfigError, OSError: the tar is damaged or cannot be read.
        """
        try:
            members = self.run.directory.read_of(shard, key, self._members)
        except FileNotFoundError as error:
            path = self.run.directory.tar(shard)
            raise NotThereError(f"there is no {path}: of what was rejected only the index is kept") from error
        found = files_by_extension(members, key).get(extension)
        if found is None:
            raise NotThereError(f"{key} has no {extension}: {shard}.tar holds the files of kept clips")
        return found

    def playable(self, shard: str, key: str) -> bytes:
        """A kept clip as an mp4, with its sound where it has any.

        Raises:
            NotThereError: it was not kept.
            MediaError: its picture and sound do not go together.
            ConfigError, OSError: the tar is damaged or cannot be read.
        """
        return self._playable((shard, key))

    def record(self, shard: str, key: str) -> Record:
        """Everything that is known of a row; see `record_of`."""
        return self.run.directory.read_of(
            shard, key, lambda now: record_of(self.run.directory, now, key, is_failed=key in self.run.failed)
        )

    def _read_thumbnails(self, shard: str) -> dict[str, bytes]:
        rows = read_shard(self.run.directory, shard, ("key", "thumbnail"))
        return {row["key"]: row["thumbnail"] for row in rows if row.get("thumbnail")}

    def _read_members(self, shard: str) -> Mapping[str, TarMember]:
        return tar_members(self.run.directory.tar(shard))

    def _read_playable(self, place: tuple[str, str]) -> bytes:
        shard, key = place
        picture = self.file(shard, key, "mp4")
        sound = self.run.directory.read_of(shard, key, self._members).get(f"{key}.wav")
        if sound is None:
            return picture.read()
        try:
            return with_sound(picture.read(), sound.read())
        except MediaError as error:
            raise MediaError(error.rule, f"{key} in {picture.tar}: {error.detail}") from error
