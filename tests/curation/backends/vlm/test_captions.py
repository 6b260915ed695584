"""Captions from a served model: every attribute is asked for, texts tell what is confirmed, trouble is no caption."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curation.backends.caption.captioner import CaptionError
from curation.backends.vlm.captions import VlmCaptioner, VlmCaptionerConfig
from curation.clip.caption import CameraMovement, Caption, Event, HumanAction, LabelError, MovementDirection
from curation.clip.schema import Clip, Decision, Source
from curation.stage import EachClip
from curation.stages.caption import CaptionConfig, CaptionStage
from infra.jobs.machine_fault import MachineFaultError
from infra.served import patience
from infra.served.patience import ServerAwayError
from tests.worlds.people_clips import make_clip
from tests.worlds.served_models import Answer
from tests.worlds.vlm_server import MODEL, VlmServer, completion, question_of, vlm_server

CLIP = make_clip([np.full((48, 64, 3), shade, np.uint8) for shade in (0, 120, 240)])
WANTED = Caption(
    scene="a kitchen",
    shot_type="upper body",
    num_people=1,
    human_action=HumanAction(body="sits", head="nods", face="talks"),
    hand_gesture="waves",
    movement_direction=MovementDirection.STILL,
    camera_movement=CameraMovement.STATIC,
    lighting="soft daylight",
    brief="A man talks in a kitchen.",
    detailed="A man sits in a kitchen and talks.",
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VlmServer]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    with vlm_server() as found:
        yield found


def captioner(server: VlmServer, **changes: Any) -> VlmCaptioner:
    return VlmCaptioner(VlmCaptionerConfig(**{"model": MODEL, "url": server.url, "patience_s": 5.0, **changes}))


def staged(server: VlmServer, clip: Clip = CLIP, config: CaptionConfig | None = None, **changes: Any) -> Clip:
    stage = CaptionStage(config or CaptionConfig())
    stage.captioner = captioner(server, **changes)
    return stage(clip)


def test_a_caption_is_put_together_from_all_questions(server: VlmServer) -> None:
    clip = staged(server)
    assert clip.kept
    assert clip.caption == WANTED
    assert [reply.prompt for reply in clip.replies] == [
        "scene",
        "shot",
        "action",
        "hands",
        "motion",
        "brief",
        "detailed",
    ]
    assert (clip.scores["caption_prompt_tokens"], clip.scores["caption_cached_tokens"]) == (700, 280)
    assert clip.scores["caption_completion_tokens"] == 70


def test_texts_are_written_from_what_is_confirmed(server: VlmServer) -> None:
    staged(server)
    (asked,) = [body for body in server.asked if question_of(body) == "detailed"]
    text = asked["messages"][-1]["content"][-1]["text"]
    listed = json.loads(text[text.index("{") : text.index("}") + 1])
    assert listed["human_action.head"] == "nods"
    assert "human_action.hands" not in listed, "what is none is not listed"
    assert {question_of(body) for body in server.asked[-2:]} == {"brief", "detailed"}


def test_all_questions_begin_with_the_same_pictures(server: VlmServer) -> None:
    staged(server)
    begins = {
        json.dumps([body["messages"][0], body["messages"][1]["content"][:-1], body["media_io_kwargs"]])
        for body in server.asked
    }
    assert len(begins) == 1


def test_the_first_question_goes_alone_and_the_others_at_once(server: VlmServer) -> None:
    together = threading.Barrier(4)

    def respond(name: str, body: dict[str, Any]) -> None:
        if name not in ("scene", "brief", "detailed"):
            together.wait(timeout=10)  # passes only when all four are in work at the same time

    server.respond = respond
    assert staged(server).kept
    assert server.most_in_work == 4
    assert question_of(server.asked[0]) == "scene"


def test_labels_stand_and_enter_the_texts(server: VlmServer) -> None:
    config = CaptionConfig(label_columns={"gesture": "hand_gesture", "arms": "human_action.hands"})
    clip = staged(server, replace(CLIP, metadata={"gesture": "thumbs up", "arms": None}), config)
    assert clip.caption == WANTED.model_copy(update={"hand_gesture": "thumbs up", "from_manifest": ("hand_gesture",)})
    texts = [body for body in server.asked if question_of(body) in ("brief", "detailed")]
    assert all('"hand_gesture": "thumbs up"' in body["messages"][-1]["content"][-1]["text"] for body in texts)
    with pytest.raises(LabelError):
        captioner(server).caption(CLIP, {"camera_movement": "sideways"})


def test_events_are_asked_for_when_wanted_and_told_on_the_clips_clock(server: VlmServer) -> None:
    late = replace(CLIP, start_s=CLIP.start_s - 0.2)
    said = {
        "events": [
            {"start_s": 1.0, "end_s": 9.0, "label": "a woman enters"},
            {"start_s": 0, "end_s": 1, "label": "a man"},
        ]
    }
    server.respond = lambda name, body: Answer(completion(json.dumps(said))) if name == "events" else None
    clip = staged(server, late, events=True)
    assert clip.caption is not None
    assert clip.caption.events == (
        Event(start_s=0.2, end_s=1.2, label="a man"),
        Event(start_s=1.2, end_s=1.7, label="a woman enters"),
    )
    assert staged(server).caption == WANTED


def test_a_question_without_a_valid_reply_rejects_the_clip_with_what_was_said(server: VlmServer) -> None:
    server.respond = lambda name, body: Answer(completion("{oops", "length")) if name == "action" else None
    clip = staged(server)
    assert clip.rejection == Decision(stage="caption", rule="no_valid_caption")
    assert clip.caption is None
    assert clip.scores["caption_error"] == "action: the reply was cut off (length)"
    assert clip.scores["caption_said"] == "{oops"
    assert [reply.seed for reply in clip.replies] == [0, 1, 2]
    assert clip.scores["caption_completion_tokens"] == 30


def test_a_clip_that_cannot_be_shown_is_not_described(server: VlmServer) -> None:
    with pytest.raises(CaptionError, match="no keyframes"):
        captioner(server).caption(replace(CLIP, keyframes=()), {})


def test_trouble_of_the_server_is_no_verdict_on_the_clip(server: VlmServer) -> None:
    server.respond = lambda name, body: Answer({"error": "down"}, 503) if name == "motion" else None
    with pytest.raises(ServerAwayError):
        staged(server, patience_s=0.1)
    server.respond = lambda name, body: Answer({"error": "too long"}, 400) if name == "brief" else None
    with pytest.raises(MachineFaultError, match="refuses the request: too long"):
        staged(server)


def test_as_many_clips_of_a_source_are_in_work_as_may_be(server: VlmServer) -> None:
    together = threading.Barrier(3)

    def respond(name: str, body: dict[str, Any]) -> None:
        if name == "scene":
            together.wait(timeout=10)  # passes only when three clips are at their first question

    server.respond = respond
    stage = CaptionStage(CaptionConfig())
    stage.captioner = captioner(server)
    clips = tuple(replace(CLIP, key=f"made-{number}") for number in range(6))
    source = EachClip(stage, in_flight=3)(Source(uri="made.mp4", clips=clips))
    assert [clip.key for clip in source.clips] == [clip.key for clip in clips]
    assert all(clip.caption == WANTED for clip in source.clips)
    assert server.most_in_work <= 3 * 4, "at most four questions of a clip are in work at a time"
