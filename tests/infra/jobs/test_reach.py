"""Paths that not all nodes of a cluster reach are refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.config import ConfigError
from infra.jobs.reach import check_reach, for_nodes, given_address

PLACES = {"RUN": "runs/x", "INPUT": "s3://raw"}
LINE = (
    r"\ARUN runs/x is a path of this machine, and RAY_ADDRESS=10\.0\.0\.1:6379 names a cluster: give a URI "
    r"\(s3://…\), or --shared-paths if all nodes see the same files there\Z"
)


def test_only_an_address_that_names_a_cluster_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert given_address() is None
    for own in ("", "local"):
        monkeypatch.setenv("RAY_ADDRESS", own)
        assert given_address() is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert given_address() == "10.0.0.1:6379"


def test_without_a_cluster_every_path_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "local"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        check_reach(PLACES, shared=False)


def test_with_a_cluster_a_path_of_this_machine_is_refused_unless_it_is_said_to_be_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ConfigError, match=LINE):
        check_reach(PLACES, shared=False)
    check_reach(PLACES, shared=True)
    check_reach({"RUN": "s3://out/run", "INPUT": None}, shared=False)
    with pytest.raises(ConfigError, match=r"INPUT /data/a\.csv is a path of this machine"):
        check_reach({"RUN": "s3://out/run", "INPUT": "/data/a.csv"}, shared=False)


def test_for_nodes_a_path_is_whole_whatever_folder_they_work_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert for_nodes("runs/x") == "runs/x"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert for_nodes("runs/x") == f"{Path.cwd()}/runs/x"
    assert for_nodes("s3://out/run") == "s3://out/run"
