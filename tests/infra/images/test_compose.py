"""The compose files: that their names, ports and paths fit each other, the Dockerfile, Ray and the profile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.constants import AUTOSCALER_METRIC_PORT
from ray.dashboard.consts import DASHBOARD_METRIC_PORT
from ray.dashboard.modules.metrics import metrics_head

from curation.backends.models import ModelsConfig
from infra.config import load_section, profile_section
from infra.servers.config import ANYWHERE, ServersConfig
from tests.infra.images.dockerfile import TARGETS
from tests.paths import ROOT

IMAGES = ROOT / "infra" / "images"
FILES = ("compose.yaml", "compose.gpu.yaml")
MONITORING = "/etc/soul/monitoring"
PROFILE = "infra/images/production.yaml"
KEYS = {
    "build", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image", "ports", "restart",
    "shm_size", "volumes",
}  # fmt: skip


def read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((IMAGES / name).read_text())
    assert isinstance(document, dict)
    return document


def services(*files: str) -> dict[str, dict[str, Any]]:
    """Services of the files laid over each other, as compose does it: mappings joined, lists of volumes too."""
    merged: dict[str, dict[str, Any]] = {}
    for file in files:
        for name, service in read(file)["services"].items():
            before = merged.setdefault(name, {})
            for key, value in service.items():
                if isinstance(value, dict):
                    before[key] = {**before.get(key, {}), **value}
                elif key == "volumes":
                    before[key] = [*before.get(key, []), *value]
                else:
                    before[key] = value
    return merged


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool, dict[str, Any]]]:
    """Where something is mounted: what it is, whether it can be written to, and how it is bound."""
    found: dict[str, tuple[str, bool, dict[str, Any]]] = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[target] = (source, mode != ["ro"], {})
        else:
            found[volume["target"]] = (volume["source"], not volume.get("read_only"), volume.get("bind", {}))
    return found


@pytest.mark.parametrize("file", FILES)
def test_it_holds_only_what_is_known(file: str) -> None:
    document = read(file)
    assert {key for key in document if not key.startswith("x-")} <= {"name", "services", "volumes"}
    for service in document["services"].values():
        assert set(service) <= KEYS


def test_images_have_a_version_or_are_built_from_a_target_of_the_dockerfile() -> None:
    for files in (FILES[:1], FILES):
        for service in services(*files).values():
            image, _, tag = service["image"].partition(":")
            if "build" not in service:
                assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), image
                continue
            build = service["build"]
            assert (IMAGES / build["context"]).resolve() == ROOT
            assert (ROOT / build["dockerfile"]).is_file()
            assert build["target"] in TARGETS
            assert (image, tag) == (f"soul-{build['target']}", build["args"]["DEVICE"])


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in services(*FILES).values() for port in service.get("ports", [])]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)


def test_what_is_mounted_is_there_is_made_or_is_asked_for() -> None:
    declared = {volume for file in FILES for volume in read(file)["volumes"]}
    head = (IMAGES / "compose.yaml").read_text()
    made = re.search(r"mkdir -p ([a-z ]+?) +#", head)
    assert made is not None
    used = set()
    for service in services(*FILES).values():
        for source, writable, bind in mounts(service).values():
            variable = re.fullmatch(r"\$\{SOUL_[A-Z]+:-(.+)\}", source)
            if variable:
                place = (IMAGES / variable[1]).resolve()
                assert place.parent == ROOT
                assert place.name in made[1].split()
                # The engine makes what is missing, as root: no user of ours could write there.
                assert bind.get("create_host_path", True) is not writable
            elif source.startswith("."):
                assert not writable
                assert (IMAGES / source).exists(), source
            else:
                used.add(source)
    assert used == declared


def test_ray_finds_prometheus_and_grafana_and_they_find_its_boards() -> None:
    every = services("compose.yaml")
    given = every["ray"]["environment"]
    source = yaml.safe_load(
        (ROOT / "infra/monitoring/provisioning/datasources/prometheus.yaml").read_text()
    )["datasources"][0]  # fmt: skip
    assert given[metrics_head.PROMETHEUS_NAME_ENV_VAR] == source["name"]
    assert source["url"] == "$SOUL_PROMETHEUS"
    shown = every["grafana"]["environment"]
    assert given[metrics_head.PROMETHEUS_HOST_ENV_VAR] == shown["SOUL_PROMETHEUS"] == "http://prometheus:9090"
    assert given[metrics_head.GRAFANA_HOST_ENV_VAR] == "http://grafana:3000"
    assert "127.0.0.1:3000:3000" in every["grafana"]["ports"]
    assert given[metrics_head.GRAFANA_IFRAME_HOST_ENV_VAR] == "http://127.0.0.1:3000"

    boards = given[metrics_head.GRAFANA_DASHBOARD_OUTPUT_DIR_ENV_VAR]
    written, writable, _ = mounts(every["ray"])[boards]
    assert writable
    assert mounts(every["grafana"])[boards][0] == written
    providers = yaml.safe_load((ROOT / "infra/monitoring/provisioning/dashboards/boards.yaml").read_text())
    paths = {provider["name"]: provider["options"]["path"] for provider in providers["providers"]}
    assert paths == {"Soul": "$SOUL_BOARDS", "Ray": "$RAY_BOARDS"}
    assert (shown["SOUL_BOARDS"], shown["RAY_BOARDS"]) == (f"{MONITORING}/boards", boards)
    assert shown["GF_PATHS_PROVISIONING"] == f"{MONITORING}/provisioning"
    for name in ("grafana", "prometheus"):
        assert mounts(every[name])[MONITORING][0] == "../monitoring"


def test_prometheus_asks_the_ports_that_there_are() -> None:
    every = services(*FILES)
    config = read("prometheus.yaml")
    (port,) = [word.partition("=")[2] for word in every["ray"]["command"] if word.startswith("--metrics-export-port=")]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    targets = jobs["ray"]["static_configs"][0]["targets"]
    assert targets == [f"ray:{port}", f"ray:{AUTOSCALER_METRIC_PORT}", f"ray:{DASHBOARD_METRIC_PORT}"]
    servers = load_section(ServersConfig, PROFILE, "servers").vllm
    asked = {(*each["names"], each["port"]) for each in jobs["vllm"]["dns_sd_configs"]}
    assert asked == {("vllm", server.port) for server in servers.values()}
    assert config["rule_files"] == [f"{MONITORING}/rules/*.yaml"]
    assert f"--config.file={next(iter(mounts(every['prometheus'])))}" in every["prometheus"]["command"]


def test_the_run_asks_the_servers_where_they_listen() -> None:
    every = services(*FILES)
    servers = load_section(ServersConfig, PROFILE, "servers")
    models = profile_section(PROFILE, "curation")["models"]
    load_section(ModelsConfig, PROFILE, "curation.models")
    for kind in ("vllm", "finevq"):
        command = every[kind]["command"]
        names = [command[at + 1] for at, word in enumerate(command) if word == "--only"]
        assert names == list(getattr(servers, kind))
        assert command[command.index("--profile") + 1] == PROFILE
        for name, server in servers.chosen(names).items():
            assert server.host == ANYWHERE
            assert models[name]["url"].startswith(f"http://{kind}:{server.port}")
    health = every["vllm"]["healthcheck"]["test"][-1]
    assert all(str(server.port) in health for server in servers.vllm.values())


def test_the_servers_have_as_many_gpus_as_they_ask() -> None:
    every = services(*FILES)
    servers = load_section(ServersConfig, PROFILE, "servers")
    for kind in ("vllm", "finevq"):
        seen = re.fullmatch(r"\$\{SOUL_\w+:-([\d,]+)\}", every[kind]["environment"]["CUDA_VISIBLE_DEVICES"])
        assert seen is not None
        assert len(seen[1].split(",")) == sum(server.num_gpus for server in getattr(servers, kind).values())


def test_weights_are_named_from_the_root_since_actors_work_elsewhere() -> None:
    models = profile_section(PROFILE, "curation")["models"]
    named = [value for model in models.values() for key, value in model.items() if key in {"weights", "directory"}]
    local = [value for value in named if "models/" in value]
    assert len(local) == 4
    assert all(Path(value).is_relative_to("/opt/soul/models") for value in local)
    assert "/opt/soul/models" in mounts(services(*FILES)["ray"])
