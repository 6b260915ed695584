"""Everything that Soul runs on one machine, recorded by `make monitor`: every panel of every board shows something.

There is no GPU here and none of vLLM's servers: a stand-in says what theirs would, under the names that
tests/infra/monitoring/test_boards.py holds against Ray's own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import s3fs
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from infra.monitoring.boards.all import BOARDS
from infra.monitoring.boards.curate import CURATE
from infra.monitoring.boards.jobs import NOTHING_YET
from infra.watched import announced
from tests.paths import ROOT
from tests.worlds.counting_store import Faults, counted
from tests.worlds.curated_shards import Made, curate, flat, source_of, video
from tests.worlds.encoded_run import make_encoded_run
from tests.worlds.recipes import small_options
from tests.worlds.small_model import small_model
from tests.worlds.video_server import video_server
from tests.worlds.vlm_server import MODEL, vlm_server
from tests.worlds.waiting import until
from tests.worlds.watching import Watch, needs_prometheus, watched_machine

SAMPLES = ("anamorphic.mp4", "no_audio_track.mp4", "full_body.mp4", "black.mp4", "rotated.mp4")
LONG_ENOUGH_S = 12.0
"""Prometheus looks every five seconds; a rate needs two looks."""


@pytest.mark.slow
@needs_prometheus
def test_every_panel_of_every_board_has_something_to_show(
    tmp_path: Path, sample: Callable[[str], Path], object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched_machine(tmp_path / "watch", monkeypatch) as watch, standing_in():
        curate_disturbed(watch, sample, object_store, monkeypatch)
        encode_and_train(tmp_path)
        serve(tmp_path, watch)
        silent = [
            f"{board.name}: {panel.title}: {query.expr}"
            for board in BOARDS
            for panel in board.panels
            for query in panel.queries
            if not watch.since_the_beginning(asked(query.expr, is_disturbed=board is CURATE))
        ]
        assert not silent, "\n".join(silent)
        assert not watch.now('ALERTS{alertname="SoulServerGone"}'), "what has ended is not missed"


def asked(expr: str, *, is_disturbed: bool) -> str:
    """A question as Grafana asks it, for all runs. In a run that was disturbed, what may never happen has happened."""
    whole = expr.replace("$run", ".*").replace("$__rate_interval", "30s")
    return whole.replace(NOTHING_YET, "") if is_disturbed else whole


@contextmanager
def standing_in() -> Iterator[None]:
    """GPUs and servers of models that this machine does not have."""
    registry = CollectorRegistry()
    for name in ("running", "waiting"):
        Gauge(f"vllm:num_requests_{name}", "As vLLM says", ("model_name",), registry=registry).labels("captions").set(3)
    Gauge("vllm:kv_cache_usage_perc", "As vLLM says", ("model_name",), registry=registry).labels("captions").set(0.4)
    for name in ("gpus_utilization", "gram_used"):
        gauge = Gauge(f"ray_node_{name}", "As Ray says", ("ip", "GpuIndex"), registry=registry)
        gauge.labels("127.0.0.1", "0").set(50)
    Gauge("soul_training_mfu", "No device's peak is known here", ("run", "stage"), registry=registry).labels(
        "", ""
    ).set(0.5)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with announced("soul-models", f"127.0.0.1:{server.server_port}"):
            yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def curate_disturbed(
    watch: Watch, sample: Callable[[str], Path], object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curate a bucket of a store that throttles, with a served captioner; a worker is killed meanwhile."""
    store = s3fs.S3FileSystem()
    store.mkdirs("watched", exist_ok=True)
    store.mkdirs("watched-out", exist_ok=True)
    for name in SAMPLES:
        store.put_file(str(sample(name)), f"watched/{name}")
    store.pipe_file("watched/broken.mp4", b"no video")
    store.put_file(str(sample(SAMPLES[0])), "watched/a_throttled.mov")
    faults = Faults(suffix=".mov")
    faults.begin("throttle")
    with counted(object_store, faults) as traffic, vlm_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", traffic.address)
        settings = (
            "stages.caption.backend=qwen_vl", f"models.captions.url={server.url}", f"models.captions.model={MODEL}",
            "execution.patience_s=6", "shards.sources_per_shard=2",
        )  # fmt: skip
        words = ["curation", "run", "s3://watched", "--run", "s3://watched-out/run"]
        process = start(*words, *(word for each in settings for word in ("--set", each)))
        worker = until(lambda: workers(process, "curation/all"), patience_s=120)[0]
        until(lambda: watch.value('sum(ray_soul_units{state=~"done|finished"})'), patience_s=120)
        worker.kill()
        assert process.wait(timeout=300) == 1, "one source is left to the next run"
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store)


def encode_and_train(folder: Path) -> None:
    """Encode a small run and train on another, each long enough to be seen."""
    curated = folder / "curated"
    mp4 = video(flat(90), 120)
    curate(str(curated), *(source_of(f"/in/{number}.mp4", [Made(mp4=mp4, num_frames=120)] * 6) for number in range(16)))
    words = ("--run", str(curated), "--stage", "720p", "--model", str(small_model()))
    assert start("curation", "encode", *words).wait(timeout=300) == 0
    make_encoded_run(folder / "trained")
    changes = {
        "steps": 900,
        "validation__every": 300,
        "checkpoint__every": 300,
        "audio_delta_every": 50,
        "log_every": 20,
    }
    assert start("training", *small_options(folder / "trained", **changes)).wait(timeout=300) == 0


def serve(folder: Path, watch: Watch) -> None:
    """Make two videos, and refuse one."""
    out = folder / "server"
    out.mkdir()
    options = ("--queue", "1", "--queue-per-client", "1")
    with video_server(out, small_model(), *options, keys="key") as server, server.client("key") as client:
        for _ in range(2):
            answer = client.post(seconds=0.5, steps=2, size="96x64")
            assert answer.status_code == 202
            client.ended(answer.json()["id"])
            time.sleep(LONG_ENOUGH_S / 2)
        assert client.post(seconds=0.5, image=b"no picture").status_code >= 400
        until(lambda: watch.value("sum(soul_refused_total)"), patience_s=LONG_ENOUGH_S * 2)
        time.sleep(LONG_ENOUGH_S)


def start(*words: str) -> subprocess.Popen[bytes]:
    """A command of ours."""
    return subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT)


def workers(process: subprocess.Popen[bytes], name: str) -> list[psutil.Process]:
    """A command's actors by their name, once they work."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            found += [each] if name in " ".join(each.cmdline()[:1]) else []
    return found
