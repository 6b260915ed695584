"""The real server: Ray Serve on loopback, a small model, real uploads."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

import av
import numpy as np
import pytest
from PIL import Image

from serving.__main__ import main
from tests.worlds.pipelines import picture
from tests.worlds.small_model import small_model
from tests.worlds.video_server import PATIENCE_S, Client, VideoServer, video_server
from tests.worlds.waiting import until

LONG_S = 60.0
"""A video that outlasts any test: it has hundreds of clips."""
SLOW = {"seconds": LONG_S, "steps": 50}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoServer]:
    limits = ("--queue", "3", "--queue-per-client", "2", "--upload-mb", "4", "--megapixels", "1", "--speech-s", "61")
    with video_server(
        tmp_path_factory.mktemp("server"), small_model(), *limits, "--drain-s", "0.1", keys="key-a, key-b"
    ) as running:
        yield running


@pytest.fixture
def ann(server: VideoServer) -> Iterator[Client]:
    with server.client("key-a") as client:
        yield client


@pytest.fixture
def bob(server: VideoServer) -> Iterator[Client]:
    with server.client("key-b") as client:
        yield client


def decoded(data: bytes) -> tuple[int, int]:
    """Pictures and samples of an mp4."""
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(video=0, audio=0))
    pictures = sum(isinstance(frame, av.VideoFrame) for frame in frames)
    return pictures, sum(frame.samples for frame in frames if isinstance(frame, av.AudioFrame))


def test_a_video_is_made_as_asked_for(ann: Client, bob: Client) -> None:
    answer = ann.post(seconds=1.0, prompt="A woman smiles.", seed=3, steps=2, size="96x64")
    assert answer.status_code == 202
    video_id = answer.json()["id"]
    assert answer.headers["Location"] == f"/v1/videos/{video_id}"
    made = ann.ended(video_id)
    assert (made["state"], made["error"], made["attempts"]) == ("done", None, 1)
    assert made["clips"] == made["num_clips"] > 1
    assert made["steps"] == made["num_steps"] == 2 * made["num_clips"]
    assert (made["width"], made["height"], made["place"]) == (96, 64, None)
    assert made["options"]["prompt"] == "A woman smiles."
    assert made["created_at"] <= made["started_at"] <= made["ended_at"]
    content = ann.http.get(f"/v1/videos/{video_id}/content").raise_for_status()
    assert content.headers["Content-Type"] == "video/mp4"
    pictures, samples = decoded(content.content)
    assert pictures == 25
    assert samples >= 16_000
    part = ann.http.get(f"/v1/videos/{video_id}/content", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content.content[100:200])
    assert ann.http.get(f"/v1/videos/{video_id}/stream").content == content.content
    assert video_id in [video["id"] for video in ann.http.get("/v1/videos").json()["videos"]]
    for path in ("", "/content", "/stream"):
        assert bob.http.get(f"/v1/videos/{video_id}{path}").status_code == 404
    assert bob.http.delete(f"/v1/videos/{video_id}").status_code == 404
    assert bob.http.get("/v1/videos").json() == {"videos": []}


def test_the_stream_begins_before_the_last_clip_is_made_and_ends_when_it_is_cancelled(ann: Client) -> None:
    """A second of it can be seen and heard when most of it has yet to be made."""
    video_id = ann.ask(**SLOW)
    with ann.http.stream("GET", f"/v1/videos/{video_id}/stream") as stream:
        pieces = stream.iter_raw()
        got, pictures, samples = b"", 0, 0
        while pictures < 25 or samples < 16_000:
            got += next(pieces)
            with suppress(av.FFmpegError):  # cut within a fragment
                pictures, samples = decoded(got)
        then = ann.status(video_id)
        assert then["state"] == "running"
        assert 0 < then["clips"] < then["num_clips"]
        assert stream.headers["Content-Type"] == "video/mp4"
        assert ann.http.get(f"/v1/videos/{video_id}/content").status_code == 409
        ended = ann.cancel(video_id)
        assert ended["state"] == "cancelled"
        with pytest.raises(Exception, match=r"[Pp]eer closed|incomplete|disconnect"):
            list(pieces)
    assert ended["clips"] < ended["num_clips"]
    refused = ann.http.get(f"/v1/videos/{video_id}/stream")
    assert (refused.status_code, refused.json()) == (409, {"error": "the video is cancelled"})
    assert ann.cancel(video_id)["state"] == "cancelled", "to cancel it again changes nothing"


def test_clients_take_turns_in_a_queue_that_has_bounds(ann: Client, bob: Client) -> None:
    first = ann.ask(**SLOW)
    ann.running(first)
    second, third = ann.ask(steps=1), ann.ask(steps=1)
    refused = ann.post()
    assert (refused.status_code, refused.json()["error"]) == (429, "2 of your requests wait already")
    assert int(refused.headers["Retry-After"]) >= 1
    other = bob.ask(steps=1)
    places = [client.status(each)["place"] for client, each in ((ann, second), (bob, other), (ann, third))]
    assert places == [1, 2, 3]
    full = bob.post()
    assert (full.status_code, full.json()["error"]) == (429, "the queue is full: 3 requests wait")
    assert "soul_queue_length 3.0" in ann.http.get("/metrics").text
    assert bob.cancel(other)["state"] == "cancelled"
    other = bob.ask(steps=1)
    assert bob.status(other)["place"] == 2
    ann.cancel(first)
    ends = [client.ended(each) for client, each in ((ann, second), (bob, other), (ann, third))]
    assert [end["state"] for end in ends] == ["done", "done", "done"]
    assert ends[0]["ended_at"] <= ends[1]["started_at"] <= ends[1]["ended_at"] <= ends[2]["started_at"]


def test_a_request_whose_replica_is_killed_is_made_by_another(server: VideoServer, ann: Client, bob: Client) -> None:
    killed, behind = ann.ask(seconds=5.0, steps=20), bob.ask(steps=1)
    ann.running(killed)
    process = server.record(killed)["replica"]
    os.kill(process, signal.SIGKILL)
    made = ann.ended(killed)
    assert (made["state"], made["attempts"]) == ("done", 2)
    assert decoded(ann.http.get(f"/v1/videos/{killed}/content").content)[0] == 125
    assert bob.ended(behind)["state"] == "done"
    assert server.record(killed)["replica"] != process
    assert "soul_retries_total 1.0" in ann.http.get("/metrics").text


def test_a_door_that_is_killed_goes_on_with_what_it_has_accepted(server: VideoServer, ann: Client, bob: Client) -> None:
    begun, waiting = ann.ask(seconds=5.0, steps=20), bob.ask(steps=1)
    ann.running(begun)
    before = server.door()
    before.kill()
    before.wait()
    until(lambda: "soul_" in server.text("/metrics"), patience_s=PATIENCE_S)
    assert ann.ended(begun)["state"] == bob.ended(waiting)["state"] == "done"
    assert server.door() != before


def jpeg() -> bytes:
    file = io.BytesIO()
    picture(96, 96).save(file, "JPEG")
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def huge_png() -> bytes:
    """A few bytes that claim to be a picture of 3.6 gigapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 0) + b"IDAT"


def silence() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
    return file.getvalue()


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"image": jpeg()[:900]}, 400, "image is not an image that can be read"),
        ({"image": b""}, 400, "image is empty"),
        ({"image": b"hello"}, 400, "image is not an image that can be read: no PNG, JPEG"),
        ({"image": png(1, 1)}, 400, "image is 1x1: a side has at least 32 pixels"),
        ({"image": png(2000, 600)}, 400, "image has more than 1 megapixels"),
        ({"image": huge_png()}, 400, "image has more than 1 megapixels"),
        ({"image": bytes(5_000_000)}, 413, "a request has at most 4 MB here"),
        ({"audio": b"hello"}, 400, "audio cannot be read as audio"),
        ({"audio": b""}, 400, "audio is empty"),
        ({"audio": jpeg()}, 400, "audio has no audio stream"),
        ({"audio": silence()}, 400, "audio is silent"),
        ({"seconds": 61.5}, 400, "audio lasts more than 61 s"),
        ({"steps": 0}, 400, "steps must be at least 1"),
        ({"steps": 101}, 400, "steps must be at most 100, got 101"),
        ({"steps": "many"}, 400, "steps: input should be a valid integer"),
        ({"guidance_scale": "nan"}, 400, "guidance_scale must be a number"),
        ({"size": "65x64"}, 400, "width 65 is not divisible by 32"),
        ({"size": "64x64", "area": "720p"}, 400, "give size or area, not both"),
        ({"size": "2048x2048"}, 400, "2048x2048 is too large"),
        ({"stpes": 3}, 400, "stpes: extra inputs are not permitted"),
        ({"prompt": "x" * 4001}, 400, "prompt: string should have at most 4000 characters"),
    ],
)
def test_bad_requests_are_one_line(ann: Client, request_: dict[str, object], status: int, message: str) -> None:
    answer = ann.post(**request_)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert "/out/" not in answer.json()["error"], "no path of the server"


def test_bad_bodies_are_one_line(server: VideoServer, ann: Client) -> None:
    kept = {path.name for path in server.out.iterdir()}
    cases = (
        ({"data": {"image": "face", "prompt": "p"}, "files": {"audio": server.speech(0.5)}}, 400, "image is missing"),
        ({"files": [("image", b"1"), ("image", b"2")]}, 400, "a field is there twice"),
        ({"json": {"image_url": "http://x/", "audio_url": "http://x/"}}, 403, "this server fetches no URLs"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "send multipart/form-data"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400, "multipart"),
        ({"content": iter([b"x"])}, 411, "Content-Length"),
    )
    for request, status, message in cases:
        answer = ann.http.post("/v1/videos", **request)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
        assert message in answer.json()["error"]
    assert {path.name for path in server.out.iterdir()} == kept, "nothing of what was refused is kept"


def test_only_those_with_a_key_are_let_in(server: VideoServer) -> None:
    for stranger in (server.client(None), server.client("key-c")):
        for method, path in (("GET", "/v1/videos"), ("POST", "/v1/videos"), ("GET", "/v1/videos/x/content")):
            answer = stranger.http.request(method, path)
            assert (answer.status_code, list(answer.json())) == (401, ["error"])
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_server_describes_itself_without_a_key(server: VideoServer) -> None:
    http = server.client(None).http
    assert http.get("/healthz").json() == {"status": "ok", "model": str(small_model())}
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths["/v1/videos"]) == {"get", "post"}
    content = paths["/v1/videos"]["post"]["requestBody"]["content"]
    assert {"image", "audio", "prompt", "seed", "steps"} <= set(content["multipart/form-data"]["schema"]["properties"])
    assert "image_url" in content["application/json"]["schema"]["properties"]
    page = http.get("/docs").text
    assert "https://" not in page, "it loads nothing from elsewhere"
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert http.get(address).status_code == 200
    told = http.get("/metrics").text
    for name in ("soul_queue_length", "soul_requests_total", "soul_refused_total", "soul_first_fragment_seconds_count"):
        assert f"\n{name}" in told


def test_requests_have_ended_with_a_reason_when_the_server_is_ended(server: VideoServer, ann: Client) -> None:
    """The last test of this server."""
    running = ann.ask(**SLOW)
    ann.running(running)
    waiting = ann.ask()
    server.process.send_signal(signal.SIGTERM)
    _, errors = server.process.communicate(timeout=PATIENCE_S)
    assert (server.process.returncode, errors.splitlines()[-1]) == (130, "soul: interrupted; the server is ended")
    assert "Traceback" not in errors
    for video_id in (running, waiting):
        assert server.record(video_id)["state"] == "cancelled"
        assert server.record(video_id)["error"] == "the server was ended"
    assert not [path for path in server.out.rglob("*") if path.name in {"portrait", "speech", "stream.mp4"}]


def test_mistakes_are_one_line_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SOUL_API_KEY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = {
            ("--port", port): f"cannot listen at 127.0.0.1:{port}: Address already in use",
            ("--host", "0.0.0.0"): "--host 0.0.0.0 lets others in: set SOUL_API_KEY to the keys",
            ("--queue", "0"): "--queue must be above 0, not 0",
            ("--min-replicas", "2", "--max-replicas", "1"): "the second not below",
        }
        for options, message in cases.items():
            assert main(["serve", "--model", str(small_model()), *options]) == 2
            last = capsys.readouterr().err.splitlines()[-1]
            assert last.startswith("soul: ")
            assert message in last
