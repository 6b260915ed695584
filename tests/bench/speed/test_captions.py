from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.speed.captions import add_arguments, clips_of, marked, parse_metrics, sparkline
from infra.command_line import run_alone
from tests.worlds.moving_mouth import write_video
from tests.worlds.served_models import Answer, Asked, serving
from tests.worlds.vlm_server import MODEL, VlmServer

ONE_BY_ONE = 7 + 14
"""Questions about the clip that wakes the server, and about two clips one after the other."""
ONE_CLIP = 4
"""Questions about one clip that are in work at most."""
ASKED_ALONE = ("scene", "brief", "detailed")
"""Questions about one clip beside which no other is in work."""
TOLD = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a {odd} name"} 3.0
vllm:num_requests_running{engine="1",model_name="a {odd} name"} 2.0
vllm:prefix_cache_hits_total{engine="0"} 1.5e+06
vllm:prefix_cache_hits_created{engine="0"} 1.76e+09
python_info 1.0 1395066363000
vllm:kv_cache_usage_perc NaN

"""


def test_metrics_are_added_up_over_engines() -> None:
    told = parse_metrics(TOLD)
    assert told["vllm:num_requests_running"] == 5
    assert told["vllm:prefix_cache_hits_total"] == 1.5e6
    assert told["python_info"] == 1
    assert parse_metrics("") == {}


def test_a_line_of_bars() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""
    assert sparkline([0] * 6 + [2, 4] * 3, columns=2) == " ▆"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8).repeat(60, 0).repeat(60, 1)
    return write_video(tmp_path / "a.mp4", [np.roll(picture, shift, 1) for shift in range(110)], None)


@pytest.fixture
def server() -> Iterator[tuple[str, VlmServer]]:
    more_than_one = threading.Event()

    def pause(name: str, body: dict[str, Any]) -> None:
        """Long enough to be seen; once all clips are asked about, until more than one is in work."""
        time.sleep(0.02)
        if vlm.most_in_work > ONE_CLIP:
            more_than_one.set()
        if len(vlm.asked) > ONE_BY_ONE and name not in ASKED_ALONE:
            more_than_one.wait(10)

    vlm = VlmServer(respond=pause)

    def respond(asked: Asked) -> Answer:
        if asked.path != "/metrics":
            return vlm(asked)
        told = f'vllm:num_requests_running{{engine="0"}} {vlm.in_work}\n'
        told += f"vllm:prefix_cache_queries_total {100 * len(vlm.asked)}\n"
        told += f"vllm:prefix_cache_hits_total {25 * len(vlm.asked)}\n"
        return Answer(told.encode(), type="text/plain")

    with serving(respond) as url:
        yield url, vlm


def test_every_pass_shows_pictures_that_no_cache_has(video: Path) -> None:
    clips = clips_of([video], 1)
    once, again = marked(clips), marked(clips)
    assert len({clip[0].keyframes[0].jpeg for clip in (clips, once, again)}) == 3
    before, after = (each[0].keyframes[0].image() for each in (clips, once))
    assert np.abs(before[24:].astype(int) - after[24:]).mean() < 4, "only the corner differs"


def test_both_ways_ask_the_same_and_differ_in_what_is_in_flight(
    video: Path, server: tuple[str, VlmServer], capsys: pytest.CaptureFixture[str]
) -> None:
    url, vlm = server
    words = ["--url", f"{url}/v1", "--model", MODEL, str(video), str(video), "--every", "0.01"]
    assert run_alone("bench.speed.captions", "about", add_arguments, words) == 0
    said = capsys.readouterr().out
    assert "one question at a time: " in said
    assert "at most 1; waiting" in said
    assert "2 clips at once: " in said
    assert vlm.most_in_work > ONE_CLIP
    assert said.count("2 of 2 clips have a caption, 14 replies") == 2
    assert said.count("40 % of the asked tokens by the answers, 25 % by the server's count") == 2
    assert re.search(r"at once / one at a time: \d+\.\d\d of the seconds, \d+\.\d\d times the tokens a second\n", said)
    assert len(vlm.asked) == ONE_BY_ONE + 14


def test_another_model_is_told_in_one_line(
    video: Path, server: tuple[str, VlmServer], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--url", f"{server[0]}/v1", "--model", "other", str(video)]
    assert run_alone("bench.speed.captions", "about", add_arguments, words) == 2
    assert "serves qwen and not other" in capsys.readouterr().err
