"""By which settings a run's clips were decided: `RUN/settings/<hash>.json`, written before the first of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.config import ConfigError
from infra.storage.files import join, list_files, read_bytes, write_atomically

FOLDER = "settings"


def remember_settings(run: str, config_hash: str, settings: Mapping[str, Any]) -> None:
    """Write down settings under the hash that rows carry.

    Args:
        run: the run directory.
        config_hash: of these settings.
        settings: nested mappings, from which the configuration can be made again.
    """
    path = join(run, FOLDER, f"{config_hash}.json")
    write_atomically(path, json.dumps(settings, indent=1, ensure_ascii=False, default=str).encode())


def remembered_settings(run: str) -> dict[str, dict[str, Any]]:
    """The settings of a run by the hash that its rows carry; empty for a run from before they were written down.

    Raises:
        ConfigError: a file is damaged.
    """
    found = {}
    for name in list_files(join(run, FOLDER), ".json"):
        path = join(run, FOLDER, name)
        try:
            found[name.removesuffix(".json")] = dict(json.loads(read_bytes(path)))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path} is damaged: {error}") from error
    return found
