"""Fixtures shared by all tests: real clips when they are there, the sample bucket, one Ray session."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import dlib
import pytest
import s3fs
import torch
import torch.distributed as dist
from moto.server import ThreadedMotoServer

from curation.sources import header_readers
from infra.jobs.cluster import ray_session
from tests.worlds.bench_samples import write_method, write_samples
from tests.worlds.fresh_process import fresh_processes
from tests.worlds.sample_videos import LONG, SHORT, make_videos

torch.set_num_threads(1)
# All fresh processes of the tests come from this one server, whichever test asks for one first.
fresh_processes()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in its background makes them, and the processes that they start, ignore ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A test's sums must not depend on the number of threads that another test, or a command of it, has set."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_linear_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """ZeRO-3 puts its own, which rounds otherwise, in place of torch's for all later trainings of the process."""
    monkeypatch.setattr(torch.nn.functional, "linear", torch.nn.functional.linear)


@pytest.fixture(scope="session", autouse=True)
def forked_readers() -> Iterator[None]:
    """Headers are read by fresh processes: two spawned ones take more than what most tests of a plan or run do else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(header_readers, "get_context", lambda _: fresh_processes())
        yield


@pytest.fixture(scope="session", autouse=True)
def one_face_detector() -> Iterator[None]:
    """One of dlib's detectors for each thread: to make one takes a quarter of a second, and every run needs one."""
    of_thread = cache(lambda _, make=dlib.get_frontal_face_detector: make())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dlib, "get_frontal_face_detector", lambda: of_thread(threading.get_ident()))
        yield


@pytest.fixture(scope="session", autouse=True)
def group_of_one() -> Iterator[None]:
    """A training joins this process to a group and stays in it; what is forked after the session could not use it."""
    yield
    if dist.is_initialized():
        import deepspeed  # noqa: PLC0415 (most sessions need none of it)

        deepspeed.comm.destroy_process_group()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips; tests that need it skip without it."""
    folder = Path(os.environ.get("SOUL_SHARED", "../shared")).resolve()
    if not (folder / "clips" / "labels.json").is_file():
        pytest.skip("no real clips: set SOUL_SHARED")
    return folder


@pytest.fixture(scope="session")
def short_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the videos of the sample bucket, except for the long ones."""
    return make_videos(tmp_path_factory.mktemp("short"), SHORT)


@pytest.fixture(scope="session")
def long_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the long videos of the sample bucket, for slow tests."""
    return make_videos(tmp_path_factory.mktemp("long"), LONG)


@pytest.fixture(scope="session")
def sample(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Finds a video of the sample bucket by its name."""

    def find(name: str) -> Path:
        folder: Path = request.getfixturevalue("long_samples" if name in LONG else "short_samples")
        return folder / name

    return find


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Address of an S3-compatible server on loopback, which serves every s3:// of the tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    # Those that are kept know the server of an earlier session of this process.
    s3fs.S3FileSystem.clear_instance_cache()
    yield os.environ["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture(scope="session")
def ray_cluster(object_store: str) -> Iterator[None]:
    """One small cluster for all tests: starting one takes longer than most tests."""
    with ray_session("tests", num_cpus=2, dashboard=False):
        yield


@pytest.fixture(scope="session")
def samples_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples; see `tests.worlds.bench_samples`."""
    return write_samples(tmp_path_factory.mktemp("soul-bench") / "samples")


@pytest.fixture(scope="session")
def videos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method's videos of these samples, good and bad."""
    return write_method(tmp_path_factory.mktemp("method") / "videos")
