"""Killed at any moment, a build goes on to the same set and asks for nothing twice that was finished."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from bench.builder.build import Build, lay_out, open_build
from bench.builder.ledger import Kind
from bench.builder.options import Unsigned
from bench.builder.publishing import publish
from bench.builder.slot_runner import run
from bench.builder.state import STEPS
from bench.samples.samples import read_samples
from tests.bench.builder.conftest import SpecWriter
from tests.bench.builder.test_slot_runner import build, judged
from tests.worlds.builder_servers import StandIn, completion
from tests.worlds.fresh_process import FreshPython

WORKERS = 3


def run_and_kill(folder: Path, served: StandIn, after: int) -> None:
    """Run the command in a process of its own and kill it at its `after`-th request."""
    process = FreshPython("-m", "bench", "build", "run", "--build", str(folder))
    already = len(served.asked)
    served.on_asked = lambda num: os.kill(process.pid, signal.SIGKILL) if num == already + after else None
    status = process.wait(timeout=60)
    served.on_asked = lambda _: None
    assert status == -signal.SIGKILL, process.stderr


def finished(folder: Path) -> Counter[tuple[str, int, int]]:
    """Steps that the ledger has, as the stand-in counts them."""
    found = open_build(folder)
    number = {brief.id: brief.number for brief in found.briefs}
    return Counter(
        (STEPS.get(entry.kind) or str(entry.data["step"]), number[entry.sample], entry.attempt)
        for entry in found.ledger.read()
        if entry.kind in STEPS or entry.kind is Kind.FAILED
    )


def build_on(folder: Path) -> Build:
    found = open_build(folder)
    run(found, lambda: None)
    return found


def test_killed_twice_and_torn(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    served.faults["verdict", 2, 1] = judged("Six fingers.", approved=False)
    served.faults["writing", 5, 1] = lambda asked, usual: completion("{")
    whole = build(tmp_path / "whole", write_spec(workers=WORKERS))
    undisturbed = served.counts
    served.asked.clear()

    folder = tmp_path / "killed"
    lay_out(folder, tmp_path / "spec.yaml")
    for after in (7, 9):
        before = finished(folder)
        run_and_kill(folder, served, after)
        assert before <= finished(folder), "nothing finished is lost"
    ledger = folder / "ledger.jsonl"
    torn = ledger.read_bytes()
    ledger.write_bytes(torn + b'{"kind": "written", "sam')
    in_ledger = finished(folder)
    asked_before = served.counts
    again = build_on(folder)
    for place in in_ledger:
        assert served.counts[place] == asked_before[place], "what the ledger has is not asked for again"
    twice = {place: count for place, count in served.counts.items() if count > 1}
    assert sum(twice.values()) - len(twice) <= 2 * WORKERS, "only what was in flight is asked for again"
    assert set(served.counts) == set(undisturbed)
    assert max(finished(folder).values()) == 1
    assert again.state.slots == whole.state.slots

    sets = [tmp_path / "set-whole", tmp_path / "set-killed"]
    for found, out in zip((whole, again), sets, strict=True):
        publish(found, out, Unsigned.INCLUDE)
    files = [{path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")} for out in sets]
    assert files[0] == files[1]
    assert len(read_samples(sets[1] / "samples")) == 6


def test_interrupted_it_finishes_what_is_in_flight(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    """By an interrupt that comes while the run waits for its servers, where ctrl-C finds it."""
    folder = tmp_path / "build"
    found = lay_out(folder, write_spec(workers=WORKERS))

    def show() -> None:
        if len(served.asked) >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(found, show)
    assert set(finished(folder)) == set(served.counts), "what was asked for is kept"
    assert len(served.asked) < 24
    build_on(folder)
    assert served.counts == Counter(finished(folder))
    assert len(served.asked) == 24


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_many_moments(seed: int, tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    folder = tmp_path / "killed"
    lay_out(folder, write_spec(workers=WORKERS))
    for after in (1 + seed, 2, 3 + seed % 3):
        run_and_kill(folder, served, after)
    found = build_on(folder)
    assert len(found.state.approved()) == 6
    assert max(finished(folder).values()) == 1
