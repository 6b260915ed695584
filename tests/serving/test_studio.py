"""The real page on loopback, asked as its own script asks it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from infra.servers.process import free_port
from model.generation.acceleration import Acceleration
from model.pretrained.model_parts import ModelParts
from model.weights.examples import Example
from serving.access import Access
from serving.api_config import ApiConfig
from serving.commands.studio import LIMITS, about
from serving.replica import Replica, ReplicaConfig
from tests.worlds.pipelines import noise, picture, write_wav
from tests.worlds.small_model import small_model
from tests.worlds.waiting import until

gradio_client = pytest.importorskip("gradio_client", reason="Gradio is not installed: `make studio` installs it")

PROMPT = "A <b>woman</b> smiles & waves."


@pytest.fixture(scope="module")
def replica() -> Replica:
    parts = ModelParts(model=str(small_model()))
    return Replica(ReplicaConfig(parts=parts, acceleration=Acceleration(compile="none")))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("example")
    picture(96, 96).save(folder / "portrait.png")
    write_wav(folder / "speech.wav", noise(1.0))
    return Example(name="Ada", image=folder / "portrait.png", audio=folder / "speech.wav", prompt=PROMPT)


@contextmanager
def served(folder: Path, replica: Replica, example: Example) -> Iterator[str]:
    """The studio's address."""
    from serving.studio import studio_app  # noqa: PLC0415 (it needs Gradio)

    config = ApiConfig(
        model="small", default_area=4096, limits=LIMITS, access=Access(digests=()), urls=False, private_urls=False
    )
    app = studio_app(config, folder, replica, [example], about("pretrained"))
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio")


@pytest.fixture
def studio(folder: Path, replica: Replica, example: Example) -> Iterator[str]:
    with served(folder, replica, example) as url:
        yield url


def ask(url: str, example: Example, *, seconds: float = 0, steps: int = 1, size: str = "") -> Any:
    """A job of the page's button, with the example's files."""
    client = gradio_client.Client(url, verbose=False)
    files = [gradio_client.handle_file(str(path)) for path in (example.image, example.audio)]
    return client.submit(*files, PROMPT, 7, seconds, steps, size, api_name="/make")


def videos(url: str) -> list[dict[str, Any]]:
    return list(httpx2.get(f"{url}/v1/videos", trust_env=False).raise_for_status().json()["videos"])


def test_a_video_is_made_and_is_in_the_gallery_also_later(
    studio: str, folder: Path, replica: Replica, example: Example
) -> None:
    updates = list(ask(studio, example, seconds=0.5, size="64x64"))
    assert "waits for its turn" in updates[0][1]
    assert "0.5 s of video, made in" in updates[-1][1]
    (video,) = videos(studio)
    assert (video["state"], video["options"]["seed"], video["seconds"]) == ("done", 7, 0.5)
    shown = [update[0] for update in updates if isinstance(update[0], str)]
    assert f"/v1/videos/{video['id']}/" in shown[-1]
    assert httpx2.get(f"{studio}/v1/videos/{video['id']}/content", trust_env=False).content[4:8] == b"ftyp"
    gallery = updates[-1][2]
    assert f"/v1/videos/{video['id']}/content" in gallery
    assert "A &lt;b&gt;woman&lt;/b&gt; smiles &amp; waves." in gallery, "what people write is text"
    assert "seed 7" in gallery
    with served(folder, replica, example) as again:
        assert [each["id"] for each in videos(again)] == [video["id"]]


def test_a_video_plays_while_it_is_made_and_is_cancelled(studio: str, example: Example, tmp_path: Path) -> None:
    long = replace(example, audio=write_wav(tmp_path / "long.wav", noise(60.0)))
    job = ask(studio, long, steps=100)
    until(lambda: any(re.search(r"clip [1-9]\d* of \d+", update[1]) for update in job.outputs()))
    (video,) = [each for each in videos(studio) if each["state"] == "running"]
    until(lambda: any(f"{video['id']}/stream" in str(update[0]) for update in job.outputs()))
    httpx2.delete(f"{studio}/v1/videos/{video['id']}", trust_env=False).raise_for_status()
    job.result(timeout=60)
    last = job.outputs()[-1]
    assert '<span class="cancelled">cancelled</span>' in last[1]
    assert video["id"] not in last[2]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"steps": 101}, "Steps must be at most 100, got 101"),
        ({"size": "65x64"}, "Width 65 is not divisible by 32"),
        ({"size": "big"}, "Size must be WIDTHxHEIGHT"),
        ({"seconds": -1}, "Seconds: input should be greater than 0"),
    ],
)
def test_mistakes_are_one_line(studio: str, example: Example, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(gradio_client.exceptions.AppError, match=message) as told:
        ask(studio, example, **request_).result(timeout=60)
    assert "\n" not in str(told.value)
    assert "Traceback" not in str(told.value)


def test_a_missing_portrait_is_one_line(studio: str, example: Example) -> None:
    client = gradio_client.Client(studio, verbose=False)
    with pytest.raises(gradio_client.exceptions.AppError, match="Give a portrait and speech first"):
        client.predict(None, gradio_client.handle_file(str(example.audio)), PROMPT, 0, 0, 0, "", api_name="/make")


def test_the_page_says_what_the_model_does_and_loads_nothing_from_elsewhere(studio: str, example: Example) -> None:
    config = httpx2.get(f"{studio}/config", trust_env=False).json()
    words = " ".join(str(each["props"].get("value", "")) for each in config["components"])
    assert "animates drawn faces, not photographs" in words
    assert "Speech is needed" in words
    assert example.name in str(config)
    assert config["analytics_enabled"] is False
    page = httpx2.get(studio, trust_env=False).text
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?://[^\"]+)", page)
    assert not [address for address in loaded if not address.startswith("http://127.0.0.1")]
    styles = httpx2.get(f"{studio}/theme.css", trust_env=False).text
    assert "fonts.googleapis.com" not in styles + page
