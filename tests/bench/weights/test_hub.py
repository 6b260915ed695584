"""The Hub's own client against its protocol on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from bench.weights import hub
from bench.weights.source import HubWeights, NotFetchedError
from infra.hub.client import ENDPOINT
from tests.worlds import weight_servers
from tests.worlds.weight_servers import Hub

FILES = {"config.json": b'{"model_type": "dinov2"}', "model.safetensors": b"\7" * 5000, "flax_model.msgpack": b"large"}
WEIGHTS = HubWeights(
    repository="someone/net", licence="free", about_bytes=5000, patterns=("*.json", "*.safetensors"), folder="net"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with weight_servers.hub("someone/net", FILES) as served:
        monkeypatch.setenv(ENDPOINT, served.address)
        # The client reads these once, when it is imported.
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield served


def test_the_wanted_files_come_into_the_folder_and_only_once(server: Hub, tmp_path: Path) -> None:
    folder = hub.fetch(WEIGHTS, tmp_path / "models", shows_progress=False)
    assert folder == tmp_path / "models" / "net"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == {
        name: FILES[name] for name in ("config.json", "model.safetensors")
    }
    assert sorted(server.sent) == ["config.json", "model.safetensors"]
    hub.fetch(WEIGHTS, tmp_path / "models", shows_progress=False)
    assert len(server.sent) == 2


def test_what_is_not_what_the_hub_says_is_told_and_fetched_again(server: Hub, tmp_path: Path) -> None:
    server.damaged.add("model.safetensors")
    with pytest.raises(NotFetchedError, match=r"model\.safetensors is damaged: its SHA-256 is"):
        hub.fetch(WEIGHTS, tmp_path / "models", shows_progress=False)
    server.damaged.clear()
    folder = hub.fetch(WEIGHTS, tmp_path / "models", shows_progress=False)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_repository_that_there_is_not_and_a_hub_that_does_not_answer_are_one_line(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = HubWeights(repository="someone/other", licence="free", about_bytes=1)
    with pytest.raises(NotFetchedError, match=r"^Hugging Face Hub: someone/other: 4\d\d") as error:
        hub.fetch(other, tmp_path / "models", shows_progress=False)
    assert "\n" not in str(error.value)
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    with pytest.raises(NotFetchedError, match=r"^Hugging Face Hub: someone/net: .*refused"):
        hub.fetch(WEIGHTS, tmp_path / "models", shows_progress=False)


def test_without_a_folder_they_go_into_the_hubs_cache(server: Hub, tmp_path: Path) -> None:
    weights = HubWeights(repository="someone/net", licence="free", about_bytes=1)
    folder = hub.fetch(weights, tmp_path / "models", shows_progress=False)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert tmp_path / "cache" in folder.parents
    assert not (tmp_path / "models").exists()
