"""Finishing all open slots of a build: several at once, until none is open or a server fails."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from bench.builder.attempts import Maker
from bench.builder.build import Build
from bench.builder.failure import MISTAKES, REFUSED, StepFailedError
from bench.builder.ledger import Kind
from bench.builder.spec import SpeechConfig
from bench.builder.state import STEPS
from infra.served.endpoint import NotNowError, Server, served_models

REDRAW_S: Final = 0.25
"""Longest time between two updates of the display."""
MAX_SILENCES: Final = 3
"""Requests in a row that a server leaves unanswered, each after several tries, before a run stops."""
MAX_REFUSALS: Final = 5
"""Refusals before a server's first answer in a run, before it stops: the form of the requests must be wrong."""


class StoppedError(ValueError):
    """A run stopped before its end because a server failed; the message is for people."""


@dataclass(kw_only=True, slots=True)
class Patience:
    """Decides by the servers' answers, over all slots, when a run should stop. Threads share it."""

    servers: Mapping[Kind, Server]
    problem: str | None = None
    """Why the run is to stop."""
    is_left: bool = True
    """Whether slots in work should go on to their next request."""
    _silences: Counter[Kind] = field(default_factory=Counter)
    _refusals: Counter[Kind] = field(default_factory=Counter)
    _answered: set[Kind] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def told(self, step: Kind, error: Exception | None) -> bool:
        """Take note of what came of a request; returns whether to make further ones."""
        with self._lock:
            self._take(step, error)
            return self.is_left

    def _take(self, step: Kind, error: Exception | None) -> None:
        if isinstance(error, NotNowError):
            self._silences[step] += 1
            if error.status in MISTAKES or self._silences[step] >= MAX_SILENCES:
                self._stop(step, str(error), error.told)
            return
        self._silences[step] = 0
        if isinstance(error, StepFailedError) and error.reason == REFUSED:
            self._refusals[step] += 1
            if step not in self._answered and self._refusals[step] >= MAX_REFUSALS:
                self._stop(step, "the server refuses every request", error.detail)
        else:
            self._answered.add(step)

    def _stop(self, step: Kind, problem: str, told: str) -> None:
        server = self.servers[step]
        said = f", saying {told!r}" if told else ""
        self.is_left = False
        self.problem = self.problem or f"{STEPS[step]}, {server.model} at {server.url}: {problem}{said}"


def servers(build: Build) -> dict[Kind, Server]:
    """Step → the server that it asks."""
    spec = build.spec
    return {Kind.WRITTEN: spec.writer, Kind.SPOKEN: spec.speech, Kind.PICTURED: spec.image, Kind.JUDGED: spec.verdict}


def check_servers(build: Build) -> None:
    """Ask each server for its models; a server that has no list of models is not checked.

    Raises:
        ValueError: one cannot be reached, or does not serve the model that the spec names.
    """
    for step, server in servers(build).items():
        try:
            models = served_models(server.url, key=server.key)
        except NotNowError as error:
            if error.status in {404, 405}:
                continue  # the images and speech protocols do not ask for a list
            raise ValueError(f"{STEPS[step]}: no {server.model} at {server.url}: {error}") from error
        singing = [server.singing_model] if isinstance(server, SpeechConfig) and server.singing_model else []
        lacking = [model for model in (server.model, *singing) if model not in models]
        if lacking:
            raise ValueError(f"{STEPS[step]}: {server.url} serves {', '.join(models)}, not {lacking[0]}")


def run(build: Build, show: Callable[[], None]) -> None:
    """Finish every open slot. `show` is called, in this thread, whenever something may have changed.

    Raises:
        StoppedError: a server failed; what is finished is kept, and the next run goes on.
    """
    patience = Patience(servers=servers(build))
    waiting = iter(build.state.open(build.spec.max_attempts))
    running: set[Future[None]] = set()
    maker = Maker(build=build)
    num_unanswered = 0
    with ThreadPoolExecutor(build.spec.workers) as pool:
        try:
            while True:
                free = build.spec.workers - len(running) if patience.is_left else 0
                running |= {pool.submit(maker.finish, slot, patience.told) for slot in islice(waiting, free)}
                if not running:
                    break
                done, running = wait(running, timeout=REDRAW_S, return_when=FIRST_COMPLETED)
                num_unanswered += sum(_is_unanswered(future) for future in done)
                show()
        finally:
            patience.is_left = False
    if patience.problem is not None:
        raise StoppedError(f"{patience.problem}; what is finished is kept, run again to go on")
    if num_unanswered:
        raise StoppedError(f"{num_unanswered} slots wait for a server that did not answer; run again to go on")


def _is_unanswered(future: Future[None]) -> bool:
    """Whether a slot was left because a server gave no answer; any other exception is raised here."""
    try:
        future.result()
    except NotNowError:
        return True
    return False
