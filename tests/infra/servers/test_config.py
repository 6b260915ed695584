"""The section `servers`: mistakes in one line, and the commands of each kind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from infra.config import ConfigError, build, load_section
from infra.servers.config import ServersConfig, asked_at


def servers(**section: Any) -> ServersConfig:
    return build(ServersConfig, section, "servers")


VLLM = {"model": "m", "port": 8001, "max_model_len": 4096}
OTHER = {"program": ["{python}", "{host}:{port}"], "port": 8002}


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("vllm", "finevq"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"vllm": {"captions": {**VLLM, "prt": 1}}}, "servers.vllm[captions]: unknown key 'prt', did you mean 'port'?"),
        ({"vllm": {"captions": {"model": "m", "port": 1}}}, "max_model_len"),
        ({"vllm": {"captions": {**VLLM, "port": 0}}}, "port must be in [1, 65535], not 0"),
        ({"vllm": {"captions": {**VLLM, "num_gpus": 1.5}}}, "num_gpus must be a whole number"),
        ({"vllm": {"captions": {**VLLM, "max_model_len": 0}}}, "max_model_len must be above 0"),
        ({"vllm": {"captions": {**VLLM, "num_replicas": 0}}}, "num_replicas must be at least 1"),
        ({"vllm": {"Captions": VLLM}}, "server 'Captions': a name has small letters"),
        ({"vllm": {"a": VLLM, "b": VLLM}}, "servers 'a' and 'b' have the same port 8001"),
        ({"vllm": {"a": VLLM}, "other": {"a": OTHER}}, "two servers are called 'a'"),
        ({"other": {"a": {"program": ["serve"], "port": 1}}}, "one of them must take the {port}"),
    ],
)
def test_a_mistake_is_one_line(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        servers(**section)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_vllm_gets_what_the_captioner_relies_on(environments: Path) -> None:
    config = servers(vllm={"captions": {**VLLM, "num_gpus": 2, "served_names": ["a", "b"], "arguments": ["--seed=1"]}})
    words = config.vllm["captions"].command("0.0.0.0", 9)
    assert words[:3] == [str(environments / "vllm" / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"]
    text = " ".join(words)
    for part in (
        "--model m --served-model-name a b --host 0.0.0.0 --port 9 --max-model-len 4096",
        '--structured-outputs-config {"backend": "guidance", "disable_any_whitespace": true}',
        "--logprobs-mode processed_logprobs --trust-request-mm-kwargs --enable-prefix-caching",
        "--tensor-parallel-size 2 --distributed-executor-backend mp",
    ):
        assert part in text
    assert words[-1] == "--seed=1"
    assert "--tensor-parallel-size" not in servers(vllm={"a": VLLM}).vllm["a"].command("h", 9)


@pytest.mark.usefixtures("environments")
def test_finevq_runs_on_a_cpu_where_it_has_no_gpu() -> None:
    section = {"code": "models/FineVQ", "weights": "w", "port": 8004}
    config = servers(finevq={"gpu": section, "cpu": {**section, "port": 8005, "num_gpus": 0}})
    assert config.finevq["gpu"].command("h", 9)[-2:] == ["--device", "cuda"]
    assert config.finevq["cpu"].command("h", 9)[-2:] == ["--device", "cpu"]


def test_an_environment_that_is_not_built_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ConfigError, match="make env-vllm"):
        servers(vllm={"a": VLLM}).vllm["a"].command("h", 9)


def test_places_in_the_words_of_another_program_are_filled_in() -> None:
    assert servers(other={"a": OTHER}).other["a"].command("h", 9) == [sys.executable, "h:9"]


def test_servers_are_chosen_by_name() -> None:
    config = servers(vllm={"a": VLLM}, other={"b": OTHER})
    assert list(config.chosen([])) == ["a", "b"]
    assert list(config.chosen(["b"])) == ["b"]
    with pytest.raises(ConfigError, match="no server 'c'; there are a, b"):
        config.chosen(["c"])
    with pytest.raises(ConfigError, match="asks for no servers"):
        servers().chosen([])


def test_the_production_profile_names_the_papers_models() -> None:
    config = load_section(ServersConfig, "production", "servers")
    assert {name: server.model for name, server in config.vllm.items()} == {
        "captions": "Qwen/Qwen3-VL-30B-A3B-Instruct",
        "defects": "Qwen/Qwen2.5-VL-7B-Instruct",
        "claims": "Qwen/Qwen2.5-VL-72B-Instruct",
    }
    assert config.finevq["finevq"].weights == "IntMeGroup/FineVQ_score"
    assert sum(server.num_gpus for _, server in config.named()) == 8


def test_a_server_that_listens_everywhere_is_asked_here() -> None:
    assert asked_at("0.0.0.0", 9) == "http://127.0.0.1:9"
    assert asked_at("10.0.0.1", 9) == "http://10.0.0.1:9"
