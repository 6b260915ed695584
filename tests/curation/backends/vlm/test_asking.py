"""How a model is asked: what is sent, which replies count, and what happens when the server does not answer."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curation.backends.vlm.asking import NoValidReplyError, Question, VlmClient, first_then_rest, schema_of
from curation.backends.vlm.captions import KINDS, TEXT_KINDS
from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.config import VlmConfig
from infra.jobs.machine_fault import MachineFaultError
from infra.served import patience
from infra.served.patience import ServerAwayError
from tests.worlds.people_clips import make_clip
from tests.worlds.served_models import Answer
from tests.worlds.vlm_server import MODEL, SAID, VlmServer, completion, vlm_server, yes_or_no

CLIP = make_clip([np.full((48, 64, 3), shade, np.uint8) for shade in (0, 60, 120, 180, 240)])
SCENE = Question(stage="caption", prompt="scene", version="7", text="Where?", kind=KINDS["scene"], system="Be brief.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VlmServer]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    with vlm_server() as found:
        yield found


def config(server: VlmServer, **changes: Any) -> VlmConfig:
    return VlmConfig(**{"model": MODEL, "url": server.url, "patience_s": 5.0, **changes})


def saying(server: VlmServer, *answers: Answer) -> None:
    """These answers first, one a request, then the usual ones."""
    left = list(answers)
    server.respond = lambda name, body: left.pop(0) if left else None


def ask(settings: VlmConfig) -> Any:
    return VlmClient(settings).ask(ClipVideo.of(CLIP, settings), SCENE)


def test_keyframes_go_as_they_are_before_the_question(server: VlmServer) -> None:
    answered = ask(config(server))
    assert answered.value.model_dump() == {"scene": "a kitchen", "style": "none", "lighting": "soft daylight"}
    (body,) = server.asked
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    video, text = user["content"]
    url = video["video_url"]["url"]
    assert url.startswith("data:video/jpeg;base64,")
    frames = [base64.b64decode(frame) for frame in url.partition(",")[2].split(",")]
    assert frames == [keyframe.jpeg for keyframe in CLIP.keyframes]
    assert text == {"type": "text", "text": "Where?"}
    assert body["media_io_kwargs"] == {"video": {"num_frames": -1, "fps": 2.0}}
    assert (body["model"], body["seed"], body["temperature"], body["max_completion_tokens"]) == (MODEL, 0, 0.7, 1500)
    assert body["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(("limit", "longest"), [("video", 6 * 1000), ("frame", 1000)])
def test_pixels_are_limited_as_the_models_processor_counts_them(limit: Any, longest: int) -> None:
    settings = VlmConfig(model=MODEL, max_frame_pixels=1000, pixel_limit=limit)
    size = ClipVideo.of(CLIP, settings).options(settings)["mm_processor_kwargs"]["size"]
    assert size["longest_edge"] == longest, "five frames are rounded up to three pairs"


def test_many_keyframes_are_thinned_evenly_and_a_single_one_is_doubled() -> None:
    settings = VlmConfig(model=MODEL, max_keyframes=2)
    late = replace(CLIP, start_s=-0.25)
    video = ClipVideo.of(late, settings)
    assert (video.num_frames, video.fps, video.begins_s) == (2, round(1 / 1.5, 4), 0.25)
    single = ClipVideo.of(replace(CLIP, keyframes=CLIP.keyframes[:1]), settings)
    assert (single.num_frames, single.fps) == (2, 1.0)


def test_tokens_and_words_are_kept(server: VlmServer) -> None:
    (reply,) = ask(config(server)).replies
    assert (reply.stage, reply.prompt, reply.version, reply.model, reply.seed) == ("caption", "scene", "7", MODEL, 0)
    assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (100, 40, 10)
    assert (json.loads(reply.text), reply.refused) == (SAID["scene"], None)
    saying(server, Answer(completion(json.dumps(SAID["scene"]), cached=None)))
    assert ask(config(server)).replies[0].cached_tokens is None


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (completion("{"), "the reply is not JSON"),
        (completion(json.dumps(SAID["scene"]), "length"), r"the reply was cut off \(length\)"),
        (completion(json.dumps({"scene": "a kitchen"})), "style: Field required"),
        (completion(json.dumps({**SAID["scene"], "mood": "sad"})), "mood: Extra inputs"),
        (completion(json.dumps({**SAID["scene"], "style": " "})), "style: String should have at least 1"),
        (completion("[]"), "the reply: Input should be a valid"),
        (
            completion('{"scene": "\\ud800", "style": "none", "lighting": "none"}'),
            "scene: Input should be a valid string",
        ),
        (completion('{"scene": "\ud800"}'), "scene: Input should be a valid string"),
    ],
    ids=[
        "garbage",
        "cut off",
        "attribute left out",
        "attribute added",
        "blank",
        "another shape",
        "half a character, escaped",
        "half a character",
    ],
)
def test_an_unusable_reply_is_asked_for_again_with_another_seed(server: VlmServer, answer: Any, refused: str) -> None:
    saying(server, Answer(answer))
    answered = ask(config(server))
    assert [body["seed"] for body in server.asked] == [0, 1]
    first, second = answered.replies
    assert second.refused is None
    first.text.encode()  # can be written down
    saying(server, *[Answer(answer)] * 3)
    with pytest.raises(NoValidReplyError, match=f"^scene: {refused}") as caught:
        ask(config(server))
    assert [(reply.seed, reply.refused) for reply in caught.value.replies] == [(n, first.refused) for n in range(3)]


def test_a_raw_control_character_is_no_reason_to_ask_again(server: VlmServer) -> None:
    saying(server, Answer(completion('{"scene": "a\tkitchen", "style": "none", "lighting": "none"}')))
    assert ask(config(server)).value.model_dump()["scene"] == "a\tkitchen"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_waited_for(server: VlmServer, status: int) -> None:
    saying(server, *[Answer({"error": "loading"}, status)] * 4)
    assert len(ask(config(server)).replies) == 1
    assert [body["seed"] for body in server.asked] == [0] * 5, "no try is lost to a server that was away"


def test_a_server_that_stays_away_is_no_judgement(server: VlmServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ServerAwayError, match=f"^{MODEL} at {url}: no answer for 0.1 s"):
            ask(config(server, url=url, patience_s=0.1))


def test_a_server_that_is_too_slow_is_away(server: VlmServer) -> None:
    done = threading.Event()

    def respond(name: str, body: dict[str, Any]) -> None:
        done.wait(5)

    server.respond = respond
    with pytest.raises(ServerAwayError, match="timed out"):
        ask(config(server, timeout_s=0.1, patience_s=0.2))
    done.set()


def test_something_else_in_the_servers_place_is_waited_for(server: VlmServer) -> None:
    saying(server, Answer(b"<html>starting</html>", type="text/html"), Answer({"status": "ok"}))
    assert len(ask(config(server)).replies) == 1


@pytest.mark.parametrize("status", [400, 404, 401])
def test_a_refused_request_is_the_machines_fault_and_says_why(server: VlmServer, status: int) -> None:
    saying(server, *[Answer({"error": {"message": "maximum context length is 4096 tokens"}}, status)] * 9)
    with pytest.raises(MachineFaultError, match=r"^qwen at http.* refuses the request: maximum context length"):
        ask(config(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("y", "n"), ("Yes", " No"), ("ye", "no")])
@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_yes_has_the_probability_of_its_first_token(server: VlmServer, yes: str, no: str, probability: float) -> None:
    saying(server, Answer(yes_or_no(probability, yes=yes, no=no)))
    settings = config(server)
    found = VlmClient(settings).probability_of_yes(ClipVideo.of(CLIP, settings), "Is it?")
    assert found == pytest.approx(probability)
    (body,) = server.asked
    assert body["structured_outputs"] == {"choice": ["yes", "no"]}
    assert (body["logprobs"], body["top_logprobs"], body["temperature"]) == (True, 20, 0.0)


def test_probabilities_of_all_tokens_are_taken_between_yes_and_no(server: VlmServer) -> None:
    raw = [{"token": token, "logprob": float(np.log(p))} for token, p in {"yes": 0.1, "no": 0.3, "The": 0.6}.items()]
    saying(server, Answer(completion("no", "length", logprobs={"content": [{"token": "no", "top_logprobs": raw}]})))
    settings = config(server)
    assert VlmClient(settings).probability_of_yes(ClipVideo.of(CLIP, settings), "Is it?") == pytest.approx(0.25)


def test_a_server_without_probabilities_is_told_how_to_start(server: VlmServer) -> None:
    saying(server, Answer(completion("yes", "length")))
    settings = config(server)
    with pytest.raises(MachineFaultError, match="start it with --logprobs-mode processed_logprobs"):
        VlmClient(settings).probability_of_yes(ClipVideo.of(CLIP, settings), "Is it?")


def test_the_first_question_goes_alone_and_the_rest_at_once() -> None:
    order: list[str] = []
    together = threading.Barrier(3)

    def answer(name: str) -> str:
        if name != "a":
            together.wait(timeout=10)  # passes only when the other three are in work at the same time
        else:
            time.sleep(0.05)
        order.append(name)
        return name.upper()

    assert first_then_rest(answer, ["a", "b", "c", "d"]) == ["A", "B", "C", "D"]
    assert order[0] == "a"
    assert first_then_rest(answer, []) == []


def test_every_property_of_every_schema_is_required() -> None:
    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for value in node.values():
                yield from objects(value)
        elif isinstance(node, list):
            for value in node:
                yield from objects(value)

    for kind in (*KINDS.values(), *TEXT_KINDS.values()):
        found = list(objects(schema_of(kind)))
        assert found
        for each in found:
            assert each["required"] == list(each["properties"])
            assert each["additionalProperties"] is False
            assert not any("default" in value for value in each["properties"].values())
