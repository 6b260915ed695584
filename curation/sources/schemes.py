"""Where inputs may lie: the schemes that a run reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import fsspec

from infra.config import ConfigError
from infra.storage.files import scheme_of

SAME = {"local": "file", "s3a": "s3", "gcs": "gs"}
"""Other names of a scheme."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcesConfig:
    """What inputs and manifests may name."""

    schemes: tuple[str, ...] = ("file", "s3", "gs")
    """A manifest made by others must not send the workers to any address it likes; `file` is this machine's own
    paths."""

    def __post_init__(self) -> None:
        """Refuse a list that reads nothing."""
        if not self.schemes:
            raise ValueError("schemes must name at least one, such as file")


def check_scheme(path: str, config: SourcesConfig) -> None:
    """Refuse a path that the run may not or cannot read.

    Raises:
        ConfigError: the path is refused. The caller adds the name of the manifest and the row.
    """
    scheme = scheme_of(path)
    if scheme is None and "://" in path and "::" in path:
        raise ConfigError(f"{path} is a chain of file systems, which is never followed: unpack it and name the files")
    scheme = canonical(scheme or "file")
    if _is_read(scheme, config.schemes):
        return
    allowed = {canonical(name) for name in config.schemes}
    if scheme not in allowed:
        setting = f"[{','.join((*config.schemes, scheme))}]"
        what = "paths of this machine" if scheme == "file" else f"{scheme}://"
        raise ConfigError(
            f"{path}: this run reads {' and '.join(config.schemes)}, not {what}; allow it with "
            f"--set 'sources.schemes={setting}'"
        )
    try:
        fsspec.get_filesystem_class(scheme)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error


@cache
def _is_read(scheme: str, schemes: tuple[str, ...]) -> bool:
    """Whether a run reads a scheme: asked for each of a million paths."""
    try:
        return scheme in map(canonical, schemes) and bool(fsspec.get_filesystem_class(scheme))
    except (ValueError, ImportError):
        return False


def canonical(scheme: str) -> str:
    """One name for each scheme."""
    return SAME.get(scheme.lower(), scheme.lower())
