"""A Hub that takes what is pushed, and the client set to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from infra.hub.client import ENDPOINT
from tests.worlds import weight_servers
from tests.worlds.weight_servers import Hub

TOKEN = "hf_made_up"


@contextmanager
def taking_hub(
    repository: str, monkeypatch: pytest.MonkeyPatch, home: Path, *, token: str = TOKEN, **changes: Any
) -> Iterator[Hub]:
    """Serve a repository that a client with `TOKEN` may make and write to, if that is its token."""
    with weight_servers.hub(repository, {}, token=token, exists=False, **changes) as served:
        monkeypatch.setenv(ENDPOINT, served.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))
        # A Xet server is another matter; without it, the client sends by LFS.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield served
