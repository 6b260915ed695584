"""The descriptions for Kubernetes: what an API server takes, and what they mean to Ray and to our own commands."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import ray
import yaml

import curation.__main__
import training.__main__
from curation.encoding.config import EncodeConfig
from curation.pipeline import STAGES, CurationConfig
from infra.command_line import CommandLine, parse_command, run_alone
from infra.config import ConfigError, load_section, read_profile
from infra.jobs.cluster import OWN_SETTINGS
from infra.jobs.leaving import add_arguments
from infra.jobs.placement import NodeResources, resolve_pools
from infra.servers.config import FineVqServer, ServersConfig, VllmServer
from tests.infra.cluster.rendered import JOBS, KUBERNETES, OVERLAYS, Pod, cluster_of, pods, rendered
from tests.infra.cluster.schema_check import SCHEMAS, RefusedError, check_document, check_pod

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl, which renders the descriptions")

PARTS: Final = {"curation": curation.__main__.COMMAND_LINE, "training": training.__main__.COMMAND_LINE}
GPU: Final = "nvidia.com/gpu"
OF_MACHINES: Final = {"RAY_BACKEND_LOG_LEVEL"}
"""Settings of our own clusters that are for a terminal alone: what Ray's processes say belongs into a pod's log."""
SECRET: Final = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|CREDENTIAL")
PORTS: Final = {"metrics": 8080, "train-metrics": 9400}

Documents = list[dict[str, Any]]


def everything() -> Documents:
    return [document for overlay in OVERLAYS for document in rendered(overlay)]


def one(overlay: str, kind: str, name: str | None = None) -> dict[str, Any]:
    """The document of a kind, and of a name where there are several."""
    (found,) = (each for each in rendered(overlay) if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def all_pods() -> list[Pod]:
    return [pod for document in everything() for pod in pods(document)]


# What an API server takes.


def check_schemas(documents: Documents) -> None:
    for document in documents:
        check_document(document)
        for pod in pods(document):
            check_pod(pod.template)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_api_server_takes_every_document(overlay: str) -> None:
    check_schemas(rendered(overlay))


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("RayCluster", lambda it: it["spec"].update(rayVersoin="2.60.0")),
        ("RayCluster", lambda it: it["spec"]["headGroupSpec"].update(rayStartParams={"num-cpus": 0})),
        ("RayCluster", lambda it: it["spec"]["workerGroupSpecs"][0]["template"]["spec"].update(tolerance=[])),
        ("RayCluster", lambda it: it["spec"]["authOptions"].update(mode="none")),
        ("RayJob", lambda it: it["spec"].update(backoffLimits=3)),
        ("RayJob", lambda it: it["spec"]["rayClusterSpec"]["autoscalerOptions"].update(version="v3")),
        ("RayJob", lambda it: it["spec"]["submitterPodTemplate"]["spec"]["containers"][0].update(img="x")),
        ("PodMonitor", lambda it: it["spec"]["podMetricsEndpoints"][0].update(intervall="15s")),
        ("Deployment", lambda it: it["spec"]["template"]["spec"]["containers"][0].update(port=80)),
        ("Service", lambda it: it["spec"].update(selectors={})),
        ("PersistentVolumeClaim", lambda it: it["spec"].update(accessMode="x")),
        ("ServiceAccount", lambda it: it.update(automount=False)),
        ("ServiceAccount", lambda it: it["metadata"].update(label={})),
    ],
)
def test_an_api_server_would_refuse_mistakes(kind: str, mistake: Callable[[Any], None]) -> None:
    document = next(each for each in everything() if each["kind"] == kind)
    mistake(document)
    with pytest.raises(RefusedError):
        check_schemas([document])


def test_rules_of_prometheus_are_held_to_their_definition_too() -> None:
    rule = {"alert": "Down", "expr": "up == 0", "for": "5m", "labels": {"severity": "page"}}
    document: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "soul"},
        "spec": {"groups": [{"name": "soul", "rules": [rule]}]},
    }  # fmt: skip
    check_document(document)
    rule["alarm"] = rule.pop("alert")
    with pytest.raises(RefusedError):
        check_document(document)


def test_the_licences_of_the_schemas_are_kept() -> None:
    assert all("Apache License" in (SCHEMAS / f"LICENSE.{of}").read_text() for of in ("kuberay", "prometheus-operator"))


def test_every_folder_that_is_applied_makes_something_and_every_component_is_used() -> None:
    assert all(rendered(overlay) for overlay in OVERLAYS)
    texts = [path.read_text() for path in KUBERNETES.rglob("kustomization.yaml")]
    used = {name.rpartition("/")[2] for text in texts for name in yaml.safe_load(text).get("components", ())}
    components = {path.parent.name for path in KUBERNETES.glob("components/*/kustomization.yaml")}
    assert components <= used


# Who runs, and what of.


def check_restricted(pod: Pod) -> None:
    assert pod.spec["securityContext"]["runAsNonRoot"] is True, pod.where
    assert pod.spec["securityContext"]["runAsUser"] == 1000, pod.where
    assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod.where
    for container in pod.containers:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]}), pod.where


def test_nobody_is_root_or_can_become_it() -> None:
    for pod in all_pods():
        check_restricted(pod)
    for document in everything():
        options = (cluster_of(document) or {}).get("autoscalerOptions")
        if options is not None:
            assert options["securityContext"]["allowPrivilegeEscalation"] is False
    assert {one(f"{name}/platform", "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            for name in ("overlays/local", "overlays/production")} == {"restricted"}  # fmt: skip


def check_image(image: str) -> None:
    name, colon, tag = image.rpartition(":")
    assert colon, f"{image} has no version"
    assert tag not in ("", "latest"), f"{image} has no version"
    assert name.rpartition("/")[2] in {"soul-core", "soul-paddle", "soul-vllm", "soul-finevq", "soul-train"}, image


def test_all_images_are_ours_with_a_version_and_from_one_registry() -> None:
    for pod in all_pods():
        for container in pod.containers:
            check_image(container["image"])
    for image in ("soul-core", "soul-core:latest", "registry/soul-node-cpu:1"):
        with pytest.raises(AssertionError):
            check_image(image)
    images = [
        container["image"]
        for overlay in OVERLAYS if "production" in overlay
        for document in rendered(overlay)
        for pod in pods(document)
        for container in pod.containers
    ]  # fmt: skip
    assert {image.rpartition("/")[0] for image in images} == {"registry.example.com"}


def check_secrets(document: dict[str, Any]) -> None:
    assert document["kind"] != "Secret", "a Secret is made by a person, and never part of what is kept here"
    for pod in pods(document):
        for variable in (each for container in pod.containers for each in container.get("env", ())):
            if SECRET.search(variable["name"]):
                assert "value" not in variable, f"{pod.where}: {variable['name']}"
                assert "secretKeyRef" in variable["valueFrom"], f"{pod.where}: {variable['name']}"


def test_secrets_are_named_and_not_written_down() -> None:
    for document in everything():
        check_secrets(document)
    cluster = one("overlays/production/cluster", "RayCluster")
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "abc"}
    )
    with pytest.raises(AssertionError):
        check_secrets(cluster)
    for document in everything():
        for pod in pods(document) if cluster_of(document) else ():
            if "submitter" not in pod.where:
                assert {"secretRef": {"name": "soul-storage", "optional": True}} in pod.containers[0]["envFrom"]


def test_whatever_a_pod_mounts_and_every_account_is_there() -> None:
    for name in ("local", "production"):
        there = rendered(f"overlays/{name}/platform")
        names = {(each["kind"], each["metadata"]["name"]) for each in there}
        for overlay in (each for each in OVERLAYS if each.startswith(f"overlays/{name}/")):
            for pod in (pod for document in rendered(overlay) for pod in pods(document)):
                assert ("ServiceAccount", pod.spec["serviceAccountName"]) in names, pod.where
                volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
                for volume in volumes.values():
                    if (claim := volume.get("persistentVolumeClaim")) is not None:
                        assert ("PersistentVolumeClaim", claim["claimName"]) in names, pod.where
                    if (given := volume.get("configMap")) is not None:
                        assert ("ConfigMap", given["name"]) in names, pod.where
                mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", ())}
                assert mounted == set(volumes), pod.where


# Ray's machines.


def clusters() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in everything():
        if (cluster := cluster_of(document)) is not None:
            yield f"{document['kind']} {document['metadata']['name']}", cluster


def groups() -> Iterator[tuple[str, dict[str, Any]]]:
    for where, cluster in clusters():
        for group in cluster["workerGroupSpecs"]:
            yield f"{where}, {group['groupName']}", group


def seconds_of_leaving(container: dict[str, Any]) -> int:
    """How long a container's preStop may take, by what it says."""
    words = container["lifecycle"]["preStop"]["exec"]["command"]
    assert words[:3] == ["python", "-m", "infra.jobs.leaving"]
    return int(words[words.index("--within") + 1])


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each.get("value") for each in container["env"]}


def test_a_head_takes_no_work_and_has_the_memory_of_a_driver_and_its_ledger() -> None:
    for where, cluster in clusters():
        head = cluster["headGroupSpec"]
        assert (head["rayStartParams"]["num-cpus"], head["rayStartParams"]["num-gpus"]) == ("0", "0"), where
        resources = head["template"]["spec"]["containers"][0]["resources"]
        gib = int(resources["requests"]["memory"].removesuffix("Gi"))
        assert resources["limits"]["memory"] == resources["requests"]["memory"], where
        assert gib >= (4 if "soul-curate" in where else 8)
        assert "soul/capacity" not in json.dumps(head), f"{where}: a run ends with its head"


def test_clusters_have_the_version_of_ray_that_the_code_has_and_a_token() -> None:
    for where, cluster in clusters():
        assert cluster["rayVersion"] == ray.__version__, where
        assert cluster["authOptions"]["mode"] == "token", where


def test_clusters_have_the_settings_of_our_own() -> None:
    wanted = {name: value for name, value in OWN_SETTINGS.items() if name not in OF_MACHINES}
    assert wanted.get("RAY_worker_killing_policy_by_group") == "true"
    for pod in all_pods():
        if pod.containers[0]["name"] in {"ray-head", "ray-worker"}:
            assert environment(pod.containers[0]).items() >= wanted.items(), pod.where


STARTED: Final = """
import json, sys
from ray.scripts.scripts import start
for words in json.loads(sys.argv[1]):
    try:
        start.make_context("start", words)
    except Exception as error:
        print(error.format_message())
"""


def start_words(parameters: dict[str, str]) -> list[str]:
    """As KubeRay writes them into the command `ray start`."""
    words = [(f"--{name}", value) for name, value in parameters.items()]
    return [word for pair in words for word in (pair if pair[1] not in {"true", ""} else pair[:1])]


def refused_by_ray(starts: list[list[str]]) -> list[str]:
    """What Ray's own command says of options that it does not take. Importing it warns, so another process does."""
    words = [sys.executable, "-W", "ignore", "-c", STARTED, json.dumps(starts)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


def test_ray_takes_what_it_is_started_with() -> None:
    starts = []
    for _, cluster in clusters():
        starts.append(["--head", *start_words(cluster["headGroupSpec"]["rayStartParams"]), "--block"])
        workers = [start_words(group["rayStartParams"]) for group in cluster["workerGroupSpecs"]]
        starts += [["--address", "head:6379", *words, "--block"] for words in workers]
    assert refused_by_ray(starts) == []
    (complaint,) = refused_by_ray([["--head", *start_words({"num-cpu": "0"})]])
    assert "num-cpu" in complaint


def check_times(cluster: dict[str, Any]) -> None:
    head = cluster["headGroupSpec"]["template"]["spec"]
    driver_s = int(str(environment(head["containers"][0])["RAY_JOB_STOP_WAIT_TIME_S"]))
    assert driver_s >= 300, "what is in work takes minutes"
    assert seconds_of_leaving(head["containers"][0]) >= driver_s + 30
    for pod in (head, *(group["template"]["spec"] for group in cluster["workerGroupSpecs"])):
        assert pod["terminationGracePeriodSeconds"] >= seconds_of_leaving(pod["containers"][0]) + 30
        assert seconds_of_leaving(pod["containers"][0]) >= driver_s, "the driver commits by its workers"
    assert "--head" in head["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]


def test_what_is_in_work_has_time_to_be_committed() -> None:
    for _, cluster in clusters():
        check_times(cluster)
    _, cluster = next(clusters())
    hasty = copy.deepcopy(cluster)
    hasty["workerGroupSpecs"][0]["template"]["spec"]["terminationGracePeriodSeconds"] = 30
    with pytest.raises(AssertionError):
        check_times(hasty)
    del hasty["headGroupSpec"]["template"]["spec"]["containers"][0]["lifecycle"]
    with pytest.raises(KeyError):
        check_times(hasty)


def test_machines_leave_by_a_command_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("infra.jobs.leaving.run", seen.append)
    for pod in all_pods():
        if "lifecycle" in pod.containers[0]:
            words = pod.containers[0]["lifecycle"]["preStop"]["exec"]["command"]
            assert run_alone("infra.jobs.leaving", "", add_arguments, words[3:]) == 0, pod.where
            assert seen.pop().head == ("head" in pod.where), pod.where
    assert run_alone("infra.jobs.leaving", "", add_arguments, ["--inside", "3"]) == 2


def check_autoscaler_writes_where_ray_does(cluster: dict[str, Any]) -> None:
    """Ray's session lies in the head's TMPDIR, and the autoscaler, in a container beside it, writes its log there."""
    spec = cluster["headGroupSpec"]["template"]["spec"]
    (head,) = spec["containers"]
    (session,) = (each for each in head["volumeMounts"] if each["mountPath"] == environment(head)["TMPDIR"])
    assert session in cluster["autoscalerOptions"].get("volumeMounts", ())
    assert session["name"] in {volume["name"] for volume in spec["volumes"]}


def test_the_autoscaler_can_write_its_log() -> None:
    assert "RAY_TMPDIR" not in json.dumps(everything()), "TMPDIR says where the session lies"
    growing = [cluster for _, cluster in clusters() if cluster["enableInTreeAutoscaling"]]
    assert len(growing) == 4
    for cluster in growing:
        check_autoscaler_writes_where_ray_does(cluster)
    del growing[0]["autoscalerOptions"]["volumeMounts"]
    with pytest.raises(AssertionError):
        check_autoscaler_writes_where_ray_does(growing[0])


def check_gpus(where: str, group: dict[str, Any]) -> None:
    spec = group["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    has_gpu = "gpu" in group["groupName"]
    assert resources["requests"].get(GPU) == resources["limits"].get(GPU), where
    assert (int(resources["requests"].get(GPU, 0)) > 0) == has_gpu, where
    assert ("nvidia.com/gpu.product" in spec.get("nodeSelector", {})) == has_gpu, where
    tolerated = {each["key"] for each in spec.get("tolerations", ())}
    assert (GPU in tolerated) == has_gpu, where
    is_spot = "spot" in group["groupName"]
    assert ("soul/capacity" in tolerated) == is_spot, where
    assert (spec.get("nodeSelector", {}).get("soul/capacity") == "spot") == is_spot, where
    assert resources["requests"]["cpu"] == resources["limits"]["cpu"], f"{where}: Ray counts the limit"
    assert resources["requests"]["memory"] == resources["limits"]["memory"], where


def test_groups_ask_for_the_gpus_and_the_machines_that_they_are_named_after() -> None:
    for where, group in groups():
        check_gpus(where, group)
    where, group = next((where, group) for where, group in groups() if "spot" in where)

    def without(*path: str | int) -> dict[str, Any]:
        spoiled: dict[str, Any] = copy.deepcopy(group)
        *parents, last = path
        at = spoiled["template"]["spec"]
        for step in parents:
            at = at[step]
        del at[last]
        return spoiled

    for spoiled in (
        without("containers", 0, "resources", "requests", GPU),
        without("tolerations", -1),
        without("nodeSelector", "soul/capacity"),
    ):
        with pytest.raises(AssertionError):
            check_gpus(where, spoiled)


def test_the_long_lived_cluster_costs_its_head_while_nobody_uses_it() -> None:
    spec = one("overlays/production/cluster", "RayCluster")["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["idleTimeoutSeconds"] <= 600
    assert [(group["minReplicas"], group["replicas"]) for group in spec["workerGroupSpecs"]] == [(0, 0)] * 4
    assert all(group["maxReplicas"] > 0 for group in spec["workerGroupSpecs"])


def test_temporary_files_go_to_a_scratch_disk_that_is_large_enough() -> None:
    copies = CurationConfig().fetching.max_bytes
    for where, cluster in clusters():
        for group in cluster["workerGroupSpecs"]:
            spec = group["template"]["spec"]
            (scratch,) = (each for each in spec["volumes"] if each["name"] == "scratch")
            (place,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "scratch")
            assert environment(spec["containers"][0])["TMPDIR"] == place["mountPath"], where
            limit = int(scratch["emptyDir"]["sizeLimit"].removesuffix("Gi"))
            asked = int(spec["containers"][0]["resources"]["requests"]["ephemeral-storage"].removesuffix("Gi"))
            assert asked >= limit, f"{where}: a pod that uses its scratch would be evicted"
            if "production" in spec["containers"][0]["image"]:
                assert limit << 30 >= 2 * copies, where


# Our own commands.


def parsed(command_line: CommandLine, words: list[str]) -> Any:
    _, options = parse_command(command_line.prog, command_line.description, command_line.commands, words)
    return options


def parsed_module(words: list[str]) -> tuple[str, str, Any]:
    """Part, command and options of `python -m PART COMMAND …`."""
    python, flag, part, *rest = words
    assert (python, flag) == ("python", "-m")
    return part, rest[0], parsed(PARTS[part], rest)


def test_jobs_run_commands_that_there_are() -> None:
    commands = {}
    for overlay in JOBS:
        document = one(overlay, "RayJob")
        words = shlex.split(document["spec"]["entrypoint"])
        assert words == document["spec"]["entrypoint"].split(), "KubeRay's shell takes it as it stands"
        part, command, options = parsed_module(words)
        commands[overlay] = (part, command)
        assert options.profile == "/etc/soul/profile.yaml", overlay
        head = document["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
        assert "/etc/soul" in {mount["mountPath"] for mount in head["volumeMounts"]}
        # A path must be there on every machine; else it is a URI.
        if "://" not in options.run:
            assert options.shared_paths, overlay
            for pod in pods(document):
                if "submitter" not in pod.where:
                    places = {mount["mountPath"] for mount in pod.containers[0]["volumeMounts"]}
                    assert any(Path(options.run).is_relative_to(place) for place in places), pod.where
    assert commands == {
        "overlays/local/curate": ("curation", "run"),
        "overlays/production/curate": ("curation", "run"),
        "overlays/production/encode": ("curation", "encode"),
        "overlays/production/train": ("training", "run"),
    }
    with pytest.raises(ConfigError, match="did you mean --profile"):
        parsed_module(shlex.split("python -m curation run s3://a --profle x"))


def test_jobs_go_on_where_they_broke_off_and_give_their_machines_back() -> None:
    for overlay in JOBS:
        spec = one(overlay, "RayJob")["spec"]
        assert spec["submissionMode"] == "K8sJobMode", "the command then runs on the head"
        assert not {"entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "clusterSelector"} & spec.keys()
        assert spec["backoffLimit"] >= 1
        assert spec["shutdownAfterJobFinishes"] is True


def test_a_training_has_as_many_gpus_as_processes_and_its_number_is_scraped() -> None:
    spec = one("overlays/production/train", "RayJob")["spec"]
    _, _, options = parsed_module(shlex.split(spec["entrypoint"]))
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    resources = group["template"]["spec"]["containers"][0]["resources"]
    assert options.ray == group["minReplicas"] * int(resources["limits"][GPU])
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    assert spec["rayClusterSpec"]["enableInTreeAutoscaling"] is False
    assert f"monitoring.prometheus_port={PORTS['train-metrics']}" in options.overrides
    claim = one("overlays/production/platform", "PersistentVolumeClaim", "soul-runs")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_curation_by_the_papers_models_begins_with_machines_for_all_its_pools() -> None:
    """A run is refused where the cluster, as it is when the run begins, holds no actor of a pool."""
    spec = one("overlays/production/curate", "RayJob")["spec"]["rayClusterSpec"]
    first = [group for group in spec["workerGroupSpecs"] if group["minReplicas"]]
    assert any(GPU in group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in first)
    for pod in (spec["headGroupSpec"], *first):
        container = pod["template"]["spec"]["containers"][0]
        if pod.get("groupName") != "cpu":
            assert "soul-paddle" in container["image"], "the pool `text` runs in the environment of PaddleOCR"
        assert environment(container)["SOUL_ENVIRONMENTS"] == "/opt/environments"


def machine(group: dict[str, Any]) -> NodeResources:
    """What Ray counts of a machine of a group: the limits of its container."""
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    memory_gb = int(limits["memory"].removesuffix("Gi")) * 2**30 / 1e9
    return NodeResources(num_cpus=float(limits["cpu"]), num_gpus=float(limits.get(GPU, 0)), memory_gb=memory_gb)


def test_the_machines_of_a_curation_hold_its_pools(profile: str) -> None:
    config = load_section(CurationConfig, profile, "curation")
    spec = one("overlays/production/curate", "RayJob")["spec"]["rayClusterSpec"]
    first = [machine(group) for group in spec["workerGroupSpecs"] for _ in range(group["replicas"])]
    placed = resolve_pools(config.execution.pools, tuple(STAGES), first)
    assert not any(group["replicas"] for group in spec["workerGroupSpecs"] if "spot" in group["groupName"])
    on_gpus = [pool for pool in placed if pool.config.num_gpus]
    (gpus,) = (each for each in first if each.num_gpus)
    # What a GPU holds, whichever actors they are, must find CPUs beside it; the rest goes to the other machine.
    most = max(pool.config.num_cpus / pool.config.num_gpus for pool in on_gpus)
    assert most <= gpus.num_cpus
    beside = sum(pool.actors.min * pool.config.num_cpus for pool in placed if not pool.config.num_gpus)
    assert beside + config.execution.writer_cpus <= min(each.num_cpus for each in first if not each.num_gpus)
    # Pools that grow have actors that find no room, which is what an autoscaler starts machines for.
    groups = [group for group in spec["workerGroupSpecs"] if "gpu" in group["groupName"]]
    asked = sum(pool.actors.max * pool.config.num_gpus for pool in on_gpus)
    assert 1 < asked <= sum(group["maxReplicas"] for group in groups)
    assert resolve_pools(config.execution.pools, tuple(STAGES), [*first, *[gpus] * 7])


def test_the_pools_are_those_of_the_production_profile(profile: str) -> None:
    """A profile's list takes the place of the one below it, so what does not differ is written twice."""
    own, production = (
        [
            replace(pool, actors=None, weight=1.0, num_cpus=1.0)
            for pool in load_section(CurationConfig, each, "curation").execution.pools
        ]
        for each in (profile, "production")
    )
    assert own == production


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """The production overlay's profile, as a pod reads it."""
    path = tmp_path / "profile.yaml"
    path.write_text(one("overlays/production/platform", "ConfigMap", "soul-profile")["data"]["profile.yaml"])
    return str(path)


def test_the_profile_is_the_production_profile_and_asks_the_services(profile: str) -> None:
    config = load_section(CurationConfig, profile, "curation")
    assert config.requires == "paper"
    encode = load_section(EncodeConfig, profile, "encode")
    assert min(config.execution.machines_timeout_s, encode.execution.machines_timeout_s) >= 600
    services = {
        each["metadata"]["name"]: each["spec"]["ports"][0]["port"]
        for each in rendered("overlays/production/servers")
        if each["kind"] == "Service"
    }
    models = read_profile(profile)["curation"]["models"]
    asked = {name: model["url"] for name, model in models.items() if "url" in model}
    assert set(asked) == {"captions", "defects", "claims", "finevq"}
    for name, url in asked.items():
        assert url.removesuffix("/v1") == f"http://soul-{name}:{services[f'soul-{name}']}"
    places = [str(model.get("weights", model.get("directory"))) for model in models.values() if "url" not in model]
    assert all(place.startswith("/models/") or place == "facebook/dinov2-base" for place in places), places


def test_each_server_listens_where_its_service_looks_and_gets_the_gpus_of_the_profile(profile: str) -> None:
    servers = dict(load_section(ServersConfig, profile, "servers").named())
    found = rendered("overlays/production/servers")
    services = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Service"}
    deployments = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Deployment"}
    assert services.keys() == deployments.keys() == {f"soul-{name}" for name in servers}
    for name, server in servers.items():
        spec, service = deployments[f"soul-{name}"], services[f"soul-{name}"]
        template = spec["template"]
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        (container,) = template["spec"]["containers"]
        assert container["command"][:2] == ["tini", "--"]
        part, command, options = parsed_module(container["command"][2:])
        assert (part, command, options.only) == ("curation", "serve-models", [name])
        assert options.profile == "/etc/soul/profile.yaml"
        assert server.host == "0.0.0.0"
        assert container["ports"] == [{"name": "http", "containerPort": server.port}]
        resources = container["resources"]
        assert resources["limits"][GPU] == resources["requests"][GPU] == f"{server.num_gpus:.0f}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": server.health, "port": "http"}
        starting = container["startupProbe"]
        assert starting["periodSeconds"] * starting["failureThreshold"] > server.start_timeout_s
        environment_name = container["image"].rpartition("/")[2]
        assert isinstance(server, VllmServer | FineVqServer)
        assert environment_name == f"soul-{server.environment}:cuda"
        (memory,) = (each for each in template["spec"]["volumes"] if each["name"] == "memory")
        assert memory["emptyDir"]["medium"] == "Memory"


# Watching.


def test_every_port_that_is_scraped_is_one_of_a_pod_that_is_meant() -> None:
    monitors = [each for each in rendered("overlays/production/platform") if each["kind"] == "PodMonitor"]
    scraped = {
        endpoint["port"]: monitor["spec"]["selector"]["matchLabels"]
        for monitor in monitors
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    }
    assert set(scraped) == {*PORTS, "http"}
    for document in everything():
        if (cluster := cluster_of(document)) is not None:
            for pod in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                container = pod["template"]["spec"]["containers"][0]
                ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                assert ports["metrics"] == PORTS["metrics"]
                # A target that never listens would count as a server that is gone.
                is_for_training = document["metadata"]["name"] == "soul-train" and "groupName" in pod
                assert ports.get("train-metrics") == (PORTS["train-metrics"] if is_for_training else None)
                # KubeRay adds the name of the group to the labels of its pods.
                labels = {**pod["template"]["metadata"]["labels"], "ray.io/group": pod.get("groupName", "headgroup")}
                assert scraped["metrics"].items() <= labels.items()
                assert (scraped["train-metrics"].items() <= labels.items()) == (pod.get("groupName") == "gpu-h100")
    for document in rendered("overlays/production/servers"):
        for pod in pods(document):
            assert scraped["http"].items() <= pod.template["metadata"]["labels"].items()
