"""Where the files of a tar lie, so that one of them, or a part of it, is read without the rest."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import Final

from infra.config import ConfigError
from infra.storage.files import filesystem, is_local, store_errors

HEADERS_AHEAD_BYTES: Final = 1 << 16
"""Read at once from a remote tar while its headers are looked for: the contents between them are passed over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TarMember:
    """One file in a tar."""

    tar: str
    """Path or URI of the tar."""
    name: str
    offset: int
    """Where its content begins in the tar, in bytes."""
    size: int
    """Of its content, in bytes."""

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Its content, or the bytes `start <= position < end` of it.

        Raises:
            ConfigError: the tar is shorter than its headers say.
            OSError: it cannot be read.
        """
        end = self.size if end is None else min(end, self.size)
        if start >= end:
            return b""
        fs, plain = filesystem(self.tar)
        with store_errors():
            content: bytes = fs.cat_file(plain, start=self.offset + start, end=self.offset + end)
        if len(content) != end - start:
            raise ConfigError(f"{self.tar} is damaged: it ends within {self.name}")
        return content


def tar_members(path: str) -> dict[str, TarMember]:
    """The files in a tar by name. Only headers are read.

    Raises:
        FileNotFoundError: there is no such tar.
        ConfigError: it is damaged.
        OSError: it cannot be read.
    """
    fs, plain = filesystem(path)
    ahead = {} if is_local(path) else {"block_size": HEADERS_AHEAD_BYTES, "cache_type": "readahead"}
    try:
        with store_errors(), fs.open(plain, "rb", **ahead) as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
            return {
                member.name: TarMember(tar=path, name=member.name, offset=member.offset_data, size=member.size)
                for member in tar
                if member.isreg()
            }
    except tarfile.TarError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
