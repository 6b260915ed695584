"""Metrics behind endpoints, against a local server that speaks the real protocols."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.evaluation.job import Evaluation, EvaluationJob
from bench.metrics.finevq import FineVq, FineVqConfig
from bench.metrics.metric import VideoInput
from bench.metrics.registry import MetricsConfig, build_metrics
from bench.metrics.vtc import PROMPT, JudgeConfig, VideoTextConsistency, digit_probabilities
from bench.rows import RowStore
from bench.samples.samples import Sample, read_samples, read_videos
from infra.jobs.engine import run_inline
from infra.served import endpoint
from infra.served.endpoint import NotNowError
from tests.worlds.bench_samples import BROKEN, EMPTY, MISSING, TALKING, portrait
from tests.worlds.moving_mouth import write_video
from tests.worlds.served_models import Answer, Asked, serving

SAMPLE = Sample(id=TALKING, prompt="A woman in an orange suit speaks.")
MODEL = "judge"


class Served:
    """What the server is to answer, and what it was asked."""

    def __init__(self) -> None:
        self.reply = "4"
        self.shares = {"4": 0.7, "5": 0.2, "the": 0.1}
        self.status = 200
        self.asked: list[tuple[str, Any, str | None]] = []

    def answer(self, path: str, body: Any) -> Any:
        if path == "/v1/models":
            return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
        if path == "/health":
            return {"model": "FineVQ score 1.0"}
        if path == "/score":
            content = base64.b64decode(body["video"])
            answers = {8: {"score": 70 + len(content) % 7}, 16: {"score": math.nan}}
            return answers.get(body["num_frames"], {"error": "wrong sampling"})
        top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in self.shares.items()]
        tokens = [{"token": self.reply, "logprob": -0.3, "bytes": None, "top_logprobs": top}]
        return {
            "object": "chat.completion",
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": self.reply},
                    "logprobs": {"content": tokens} if self.shares else None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 900, "completion_tokens": 1, "total_tokens": 901},
        }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Served]]:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE_S", 0.01)
    served = Served()

    def respond(asked: Asked) -> Answer:
        served.asked.append((asked.path, asked.body, asked.authorization))
        return Answer(served.answer(asked.path, asked.body), served.status)

    with serving(respond) as url:
        yield url, served


def judge(url: str) -> VideoTextConsistency:
    return VideoTextConsistency(JudgeConfig(url=f"{url}/v1", model=MODEL, num_frames=4))


def test_the_judge_is_shown_timed_frames_and_the_prompt(
    server: tuple[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = server
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert judge(url).available() is None
    video = write_video(tmp_path / "still.mp4", [portrait()] * 100, None)
    outcome = judge(url)(VideoInput(path=video, sample=SAMPLE))
    assert outcome.values["vtc"] == 4
    assert outcome.values["vtc_expected"] == pytest.approx((4 * 0.7 + 5 * 0.2) / 0.9)
    assert outcome.detail["reply"] == "4"
    assert outcome.detail["usage"]["prompt_tokens"] == 900
    assert outcome.detail["frames_s"] == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.05)
    path, body, key = served.asked[-1]
    assert (path, key, body["temperature"], body["logprobs"]) == ("/v1/chat/completions", "Bearer secret", 0, True)
    content = body["messages"][0]["content"]
    images = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert len(images) == 4
    jpeg = base64.b64decode(images[0].removeprefix("data:image/jpeg;base64,"))
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert min(shown.shape[:2]) == 448
    assert content[-1]["text"] == PROMPT.format(count=4, description=SAMPLE.prompt)


@pytest.mark.parametrize("reply", ["I cannot tell", "7", "45", ""])
def test_no_grade_is_a_reason_and_the_reply_is_kept(server: tuple[str, Served], videos_dir: Path, reply: str) -> None:
    url, served = server
    served.reply = reply
    outcome = judge(url)(VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=SAMPLE))
    assert (outcome.reason, outcome.detail["reply"]) == ("the judge gave no grade", reply)


def test_without_logits_there_is_the_digit_alone(server: tuple[str, Served], videos_dir: Path) -> None:
    url, served = server
    served.shares = {}
    assert judge(url)(VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=SAMPLE)).values == {"vtc": 4.0}


def test_probabilities_are_read_at_the_first_digit() -> None:
    def token(text: str, **shares: float) -> dict[str, Any]:
        top = [{"token": name.removeprefix("_"), "logprob": math.log(p)} for name, p in shares.items()]
        return {"token": text, "logprob": 0.0, "top_logprobs": top}

    tokens = [token("Grade", Grade=1.0), token(" 3", _3=0.5, _2=0.25), token("5", _5=1.0)]
    assert digit_probabilities(tokens) == pytest.approx({"1": 0, "2": 1 / 3, "3": 2 / 3, "4": 0, "5": 0})
    assert digit_probabilities([token("no")]) == {}


def test_finevq(server: tuple[str, Served], videos_dir: Path) -> None:
    url, served = server
    metric = FineVq(FineVqConfig(url=url))
    assert metric.available() is None
    path = videos_dir / f"{TALKING}.mp4"
    assert metric(VideoInput(path=path, sample=SAMPLE)).values == {"video_quality": 70.0 + path.stat().st_size % 7}
    refused = FineVq(FineVqConfig(url=url, num_frames=4))(VideoInput(path=path, sample=SAMPLE))
    assert (refused.reason, refused.detail["message"]) == ("no score by FineVQ", "wrong sampling")
    strange = FineVq(FineVqConfig(url=url, num_frames=16))(VideoInput(path=path, sample=SAMPLE))
    assert (strange.reason, strange.detail["message"]) == ("no score by FineVQ", "the score is not a number")
    assert not strange.values
    asked = len(served.asked)
    assert metric(VideoInput(path=videos_dir / f"{BROKEN}.mp4", sample=SAMPLE)).reason == "unreadable"
    assert len(served.asked) == asked, "a broken video is not sent"
    assert metric.protocol != FineVq().protocol


def test_what_is_missing_is_named(server: tuple[str, Served]) -> None:
    url, served = server
    assert "--judge-url" in (VideoTextConsistency().available() or "")
    other = VideoTextConsistency(JudgeConfig(url=f"{url}/v1", model="other"))
    assert "serves judge, not other" in (other.available() or "")
    assert "--finevq-url" in (FineVq().available() or "")
    served.status = 500
    assert "the server answered 500" in (judge(url).available() or "")
    assert "cannot be reached" in (FineVq(FineVqConfig(url="http://127.0.0.1:9")).available() or "")
    with pytest.raises(ValueError, match="not an address"):
        JudgeConfig(url="localhost:8000")


def test_a_server_that_fails_is_asked_again_and_leaves_no_row(
    server: tuple[str, Served], samples_dir: Path, videos_dir: Path, tmp_path: Path
) -> None:
    url, served = server
    config = MetricsConfig(vtc=JudgeConfig(url=f"{url}/v1", model=MODEL, num_frames=1))
    samples = read_samples(samples_dir)
    plan = Evaluation(
        samples=samples, methods={"ours": read_videos(videos_dir, samples)}, metrics=build_metrics(["vtc"], config)
    )
    job = EvaluationJob(out=tmp_path, metrics=config, names=("vtc",))
    served.status = 503
    seen: list[dict[str, int]] = []
    run_inline(plan.units(RowStore(tmp_path)), job, lambda progress: seen.append(dict(progress.rejected)))
    assert {row.sample: row.reason for row in RowStore(tmp_path).read()} == {
        BROKEN: "unreadable",
        EMPTY: "empty file",
        MISSING: "missing",
    }
    assert seen[-1]["vtc/the server answered 503 (to be tried again)"] == 4
    assert sum(path.endswith("completions") for path, _, _ in served.asked) == 4 * endpoint.RETRIES
    served.status = 200
    run_inline(plan.units(RowStore(tmp_path)), job, lambda _: None)
    rows = RowStore(tmp_path).read()
    assert len(rows) == 7
    assert sum(row.values.get("vtc") == 4 for row in rows) == 4


def test_an_answer_that_is_no_json_is_not_now(server: tuple[str, Served]) -> None:
    url, served = server
    served.status = 404
    with pytest.raises(NotNowError, match="answered 404"):
        endpoint.post(f"{url}/score", {"video": "", "num_frames": 8}, timeout_s=5)
    assert len(served.asked) == 1, "what cannot help is not tried again"
