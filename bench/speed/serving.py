"""Whether the server of videos stands a crowd: many clients at once, a killed replica, cancelled and broken requests.

    python -m bench.speed.serving --model tiny

It starts the server on loopback, lets every client send requests until all of its own have ended, and meanwhile kills a
replica, sends uploads that are broken, and cancels requests that wait and requests that are made. It prints how many of
the accepted requests were answered, how often the queue was full, the memory of the door and of a replica from
beginning to end, and the seconds to a video's first fragment against those to the whole.
"""

from __future__ import annotations

import argparse
import sys

from infra.command_line import run_alone
from model.generation.options import add_model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add_model_options(parser, default="tiny")
    add("--clients", type=int, default=50, help="at once (default: %(default)s)")
    add("--requests", type=int, default=4, help="of each client (default: %(default)s)")
    add("--queue", type=int, default=24, help="requests that may wait (default: %(default)s)")
    add("--speech-s", type=float, default=5.0, help="seconds of speech (default: %(default)s)")
    add("--steps", type=int, default=2, help="denoising steps (default: %(default)s)")
    add("--size", default="64x64", help="of the videos (default: %(default)s)")
    add("--replicas", type=int, default=1, help="of the model (default: %(default)s)")
    add("--kills", type=int, default=2, help="times that a replica is killed (default: %(default)s)")
    add("--patience-s", type=float, default=900.0, help="for all of it (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.serving", __doc__, add_arguments))  # ahead of the imports that take seconds

import asyncio
import io
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import psutil
import soundfile
from PIL import Image

from infra.command_line import CommandFailedError
from infra.servers.process import free_port

READY: Final = "videos are made at"
POLL_S: Final = 0.3
MEMORY_S: Final = 5.0
TITLE: Final = re.compile(r"soul[:#](Door|Replica)\b")
"""What Ray calls the processes."""
CANCELLED, BROKEN, STREAMED = 0.15, 0.15, 0.3
"""Shares of the requests that are cancelled, that are broken, and whose stream is watched."""
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What has happened."""

    ends: Counter[str] = field(default_factory=Counter)
    """States in which accepted requests ended."""
    refusals: Counter[int] = field(default_factory=Counter)
    """HTTP statuses of requests that were not accepted."""
    wrong: list[str] = field(default_factory=list)
    """What should not have happened."""
    accepted: int = 0
    early: int = 0
    """Streams whose first fragment came while clips were still to be made."""
    first_s: list[float] = field(default_factory=list)
    """From a request's beginning to the first fragment that its client had."""
    whole_s: list[float] = field(default_factory=list)
    """From the same to the end of the stream."""
    attempts: Counter[int] = field(default_factory=Counter)
    killed: list[int] = field(default_factory=list)


def run(options: argparse.Namespace) -> None:
    """Serve the crowd, and print what happened.

    Raises:
        CommandFailedError: the server did not start, an accepted request was not answered, or a broken one was.
    """
    with tempfile.TemporaryDirectory(prefix="soul-serving-") as folder, served(options, Path(folder)) as (url, door):
        asyncio.run(asyncio.wait_for(crowd(options, url, door, Path(folder)), options.patience_s))


@contextmanager
def served(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The server; gives its address and its process."""
    port = free_port()
    words = [sys.executable, "-m", "serving", "serve", "--model", options.model, "--port", str(port)]
    words += ["--out", str(folder / "out"), "--queue", str(options.queue), "--queue-per-client", "4", "--keep", "20"]
    words += ["--min-replicas", str(options.replicas), "--max-replicas", str(options.replicas)]
    keys = ",".join(f"key-{number}" for number in range(options.clients))
    process = subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "SOUL_API_KEY": keys}
    )
    assert process.stderr is not None
    told = []
    try:
        for line in process.stderr:
            told.append(line)
            if READY in line:
                break
        else:
            raise CommandFailedError(f"the server did not start: {told[-1].strip() if told else ''}")
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=options.patience_s)


async def crowd(options: argparse.Namespace, url: str, server: psutil.Process, folder: Path) -> None:
    """All clients at once."""
    tally, material = Tally(), made_material(options)
    # The first request has everything loaded that is loaded late.
    await client(0, 1, options, url, material, Tally())
    seen = [memory(server)]
    began_s = time.monotonic()
    clients = [client(number, options.requests, options, url, material, tally) for number in range(options.clients)]
    beside = [
        asyncio.create_task(kill_replicas(options, folder / "out", tally)),
        asyncio.create_task(watch_memory(server, seen)),
    ]
    await asyncio.gather(*clients)
    for task in beside:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    show(options, tally, [*seen, memory(server)], time.monotonic() - began_s)
    if tally.wrong or tally.accepted != tally.ends.total():
        raise CommandFailedError("; ".join(tally.wrong) or "an accepted request was not answered")


def made_material(options: argparse.Namespace) -> tuple[bytes, bytes]:
    """A portrait and speech."""
    rng, portrait, speech = np.random.default_rng(0), io.BytesIO(), io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(portrait, "PNG")
    sound = rng.normal(size=round(options.speech_s * 16_000)) / 10
    soundfile.write(speech, sound, 16_000, format="WAV")
    return portrait.getvalue(), speech.getvalue()


async def client(  # noqa: PLR0917 (all are of this file)
    number: int, requests: int, options: argparse.Namespace, url: str, material: tuple[bytes, bytes], tally: Tally
) -> None:
    """One client, which sends one request after the other, each of a kind that its seed draws."""
    rng = random.Random(number)
    headers = {"Authorization": f"Bearer key-{number}"}
    async with aiohttp.ClientSession(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as session:
        for _ in range(requests):
            kind = rng.random()
            if kind < BROKEN:
                await send_broken(session, rng, material, tally)
            else:
                await send(session, rng, options, material, tally, cancelled=kind < BROKEN + CANCELLED)


async def send_broken(
    session: aiohttp.ClientSession, rng: random.Random, material: tuple[bytes, bytes], tally: Tally
) -> None:
    """A request that must be refused for what it is, if the queue is not full."""
    portrait, speech = material
    damaged = rng.choice([(portrait[: len(portrait) // 2], speech), (portrait, b"no sound"), (b"", speech)])
    async with posted(session, damaged, {}) as answer:
        tally.refusals[answer.status] += 1
        if answer.status not in {400, 429}:
            tally.wrong.append(f"a broken request was answered with {answer.status}")


async def send(
    session: aiohttp.ClientSession,
    rng: random.Random,
    options: argparse.Namespace,
    material: tuple[bytes, bytes],
    tally: Tally,
    *,
    cancelled: bool,
) -> None:
    """A good request, sent again while the queue is full, and followed to its end."""
    fields = {"steps": str(options.steps), "size": options.size, "seed": str(rng.randrange(1000))}
    while True:
        async with posted(session, material, fields) as answer:
            if answer.status == 202:
                path = answer.headers["Location"]
                break
            tally.refusals[answer.status] += 1
            if answer.status != 429:
                tally.wrong.append(f"a good request was answered with {answer.status}: {await answer.text()}")
                return
            patience_s = min(float(answer.headers["Retry-After"]), 5.0)
        await asyncio.sleep(patience_s * (1 + rng.random()))
    tally.accepted += 1
    if cancelled:
        await asyncio.sleep(rng.random() * 5)
        async with session.delete(path) as answer:
            tally.ends[(await answer.json())["state"]] += 1
        return
    if rng.random() < STREAMED:
        await watch(session, path, tally)
    while (status := await json_of(session, path))["state"] in {"queued", "running"}:
        await asyncio.sleep(POLL_S)
    tally.ends[status["state"]] += 1
    tally.attempts[status["attempts"]] += 1
    if status["state"] != "done":
        tally.wrong.append(f"a request {status['state']}: {status['error']}")


async def watch(session: aiohttp.ClientSession, path: str, tally: Tally) -> None:
    """Watch a video while it is made. If its replica is killed, the stream breaks off, which is not counted."""
    first_s = None
    with suppress(aiohttp.ClientError):
        async with session.get(f"{path}/stream") as answer:
            async for _ in answer.content.iter_any():
                if first_s is None:
                    first_s = time.time()
                    status = await json_of(session, path)
                    tally.early += status["state"] == "running" and status["clips"] < status["num_clips"]
        status = await json_of(session, path)
        if first_s is not None and status["attempts"] == 1:
            tally.first_s.append(first_s - status["started_at"])
            tally.whole_s.append(time.time() - status["started_at"])


@asynccontextmanager
async def posted(
    session: aiohttp.ClientSession, material: tuple[bytes, bytes], fields: dict[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a request."""
    form = aiohttp.FormData(fields)
    for name, data in zip(("image", "audio"), material, strict=True):
        form.add_field(name, data, filename=name)
    async with session.post("/v1/videos", data=form) as answer:
        yield answer


async def json_of(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """What a path answers."""
    async with session.get(path) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def kill_replicas(options: argparse.Namespace, out: Path, tally: Tally) -> None:
    """Kill processes that make a video, as often as asked for, each another one."""
    while len(tally.killed) < options.kills:
        await asyncio.sleep(5.0)
        running = [record for record in records(out) if record["state"] == "running"]
        process = next((each["replica"] for each in running if each["replica"] not in tally.killed), None)
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                tally.killed.append(process)


def records(out: Path) -> Iterator[dict[str, Any]]:
    """What the server keeps of its requests."""
    for path in out.glob("*/video.json"):
        with suppress(OSError, ValueError):
            yield json.loads(path.read_text())


def memory(server: psutil.Process) -> dict[str, float]:
    """Resident megabytes of the door and of the replicas."""
    found = dict[str, float]()
    for process in server.children(recursive=True):
        with suppress(psutil.Error):
            title = process.cmdline()[0]
            if (name := TITLE.search(title)) is not None:
                found[name[1]] = max(found.get(name[1], 0.0), process.memory_info().rss / 1e6)
    return found


async def watch_memory(server: psutil.Process, seen: list[dict[str, float]]) -> None:
    """Note the memory every few seconds."""
    while True:
        await asyncio.sleep(MEMORY_S)
        seen.append(memory(server))


def show(options: argparse.Namespace, tally: Tally, seen: list[dict[str, float]], seconds: float) -> None:
    """What happened, in lines; memory at the beginning, after each quarter of the time, and at the end."""
    quarters = [seen[round(part * (len(seen) - 1) / 4)] for part in range(5)]
    told = {
        "clients": f"{options.clients} at once, {options.requests} requests each, {seconds:.0f} s",
        "accepted": f"{tally.accepted}, answered {tally.ends.total()}: "
        + ", ".join(f"{count} {state}" for state, count in tally.ends.items()),
        "refused": ", ".join(f"{count} × {status}" for status, count in sorted(tally.refusals.items())),
        "killed": f"{len(tally.killed)} replicas; requests by attempts: {dict(sorted(tally.attempts.items()))}",
        "streams": f"{tally.early} of {len(tally.first_s)} had their first fragment before the last clip was made",
        "memory": ", ".join(
            f"{name.lower()} {' → '.join(f'{each.get(name, 0):.0f}' for each in quarters)} MB" for name in quarters[0]
        ),
    }
    if tally.first_s:
        told["seconds"] = f"{np.median(tally.first_s):.2f} to the first fragment, {np.median(tally.whole_s):.2f} whole"
    for name, line in told.items():
        print(f"{name:<10}{line}")
