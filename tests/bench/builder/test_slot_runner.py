"""Slots until the second model approves: what goes wrong is recorded, told to the writer and tried afresh."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.builder.build import Build, begin, lay_out, open_build
from bench.builder.ledger import Kind
from bench.builder.slot_runner import MAX_REFUSALS, MAX_SILENCES, StoppedError, check_servers, run
from infra.served import endpoint
from tests.bench.builder.conftest import SpecWriter
from tests.worlds.builder_servers import (
    PAINTER,
    SINGER,
    SPEAKER,
    Fault,
    StandIn,
    completion,
    png,
    refusal,
    sound,
    verdict,
    write,
)
from tests.worlds.served_models import Answer

GREY = cv2.imencode(".png", np.full((512, 488, 3), 90, np.uint8))[1].tobytes()


def build(folder: Path, spec: Path) -> Build:
    """Run a build to its end."""
    found = lay_out(folder / "build", spec)
    check_servers(found)
    begin(found)
    run(found, lambda: None)
    return found


def always(answer: Answer) -> Fault:
    return lambda asked, usual: answer


def image(data: bytes) -> Fault:
    return always(Answer({"data": [{"b64_json": base64.b64encode(data).decode()}]}))


def text(**changes: object) -> Fault:
    """The writer's usual reply with changes."""
    return lambda asked, usual: completion(
        json.dumps({**write(asked.body["messages"][1]["content"])[1], **changes}, ensure_ascii=False)
    )


def judged(reason: str, *, approved: bool, **grades: int) -> Fault:
    return always(completion(json.dumps(verdict(reason, approved=approved, **grades))))


def test_every_slot_is_approved_and_asked_for_once(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    found = build(tmp_path, write_spec())
    steps = ("writing", "speech", "image", "verdict")
    assert served.counts == {(step, number, 1): 1 for step in steps for number in range(1, 7)}
    assert len(found.state.approved()) == 6
    again = open_build(found.directory.path)
    assert again.state == found.state
    run(again, lambda: None)
    assert sum(served.counts.values()) == 24, "nothing is asked for that is finished"
    seeds = {place: asked.body["seed"] for place, asked in served.asked if place[0] == "image"}
    assert len(set(seeds.values())) == 6


FAULTS: dict[str, tuple[str, Fault, str]] = {
    "no JSON": ("writing", always(completion("Sure! Here is")), "the reply does not fit the schema"),
    "a field too few": ("writing", always(completion('{"message": "a"}')), "the reply does not fit the schema"),
    "cut off": ("writing", always(completion('{"mess', "length")), "the reply was cut off"),
    "declined": ("writing", always(completion("", refusal="I cannot.")), "the model declined (I cannot.)"),
    "filtered": ("writing", always(completion("", "content_filter")), "the model declined (content filter)"),
    "empty": ("writing", text(personality=" "), "no personality"),
    "too short": ("writing", text(message="hi"), "the message has not the length asked for (2 letters instead of"),
    "wordy": ("writing", text(en_prompt="word " * 40), "the English prompt has not the length asked for (40 words)"),
    "untranslated": ("writing", text(cn_prompt="She talks."), "a prompt is not in its language"),
    "as old as Methuselah": ("writing", text(age=969), "the age is not in the band asked for (969 years)"),
    "no sound": ("speech", always(Answer(b"RIFFoops", type="audio/wav")), "not a sound"),
    "an error as a sound": ("speech", always(Answer({"error": "?"})), "not a sound"),
    "silence": ("speech", always(sound(2.5, 200, level=0.0)), "the sound is silent"),
    "too long": ("speech", always(sound(5.0, 200)), "the speech is too long"),
    "too soon over": ("speech", always(sound(0.5, 200)), "the speech is too short"),
    "broken image": ("image", image(png(488, 512, 0)[:200]), "not an image"),
    "no base64": ("image", always(Answer({"data": [{"b64_json": "%%%"}]})), "not an image (the answer is not base64)"),
    "no image": ("image", always(Answer({"data": []})), "not an image (the answer holds no image)"),
    "lost image": ("image", always(Answer({"data": [{"url": "http://127.0.0.1:9/a.png"}]})), "its address: the server"),
    "tiny image": ("image", image(png(64, 67, 0)), "the image is too small (64 x 67 pixels)"),
    "other shape": ("image", image(png(1024, 512, 0)), "the image has another shape"),
    "empty image": ("image", image(b""), "not an image"),
    "blank image": ("image", image(GREY), "the image is blank"),
    "forbidden": ("image", always(refusal(400, "content policy")), "refused by the server (content policy)"),
    "rejected": ("verdict", judged("Six fingers.", approved=False), "rejected (Six fingers.)"),
    "low grade": ("verdict", judged("Odd.", approved=True, scene_text=2), "rejected (Odd.)"),
    "no grade": ("verdict", judged("Wow.", approved=True, scene_text=9), "the reply does not fit the schema"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_fails_is_recorded_and_tried_afresh(
    name: str, tmp_path: Path, served: StandIn, write_spec: SpecWriter
) -> None:
    step, fault, reason = FAULTS[name]
    served.faults[step, 1, 1] = fault
    found = build(tmp_path, write_spec(target=1))
    slot = next(iter(found.state.slots.values()))
    assert [attempt.number for attempt in slot.attempts] == [1, 2]
    assert slot.approved is not None
    assert slot.failures[0].step == step
    assert reason in str(slot.failures[0])
    assert served.counts[step, 1, 1] == 1
    last = next(asked for place, asked in served.asked if place == ("writing", 1, 2))
    assert f"- {slot.failures[0]}" in last.body["messages"][1]["content"], "the writer is told"
    first = next(asked for place, asked in served.asked if place == ("writing", 1, 1))
    assert first.body["seed"] != last.body["seed"]
    assert open_build(found.directory.path).state == found.state


def test_what_is_given_up_is_named(
    tmp_path: Path, served: StandIn, write_spec: SpecWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    for attempt in (1, 2, 3):
        served.faults["verdict", 4, attempt] = judged(f"Flaw {attempt}.", approved=False)
    folder = str(tmp_path / "build")
    assert main(["build", "plan", "--build", folder, "--spec", str(write_spec())]) == 0
    assert main(["build", "run", "--build", folder]) == 0
    said = capsys.readouterr().out
    assert "5 of 6 approved, 3 attempts failed, 1 given up" in said
    id_ = open_build(Path(folder)).briefs[3].id
    assert f"given up: {id_}, last verdict: rejected (Flaw 3.)" in said
    assert main(["build", "run", "--build", folder]) == 0
    assert served.counts["verdict", 4, 3] == 1, "what was given up stays so"
    assert main(["build", "run", "--build", folder, "--set", "max_attempts=4"]) == 0
    assert "6 of 6 approved, 3 attempts failed" in capsys.readouterr().out


def test_what_the_servers_are_asked(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    spec = write_spec(target=12, shares__mode={"talk": 1, "sing": 1}, speech__singing_model=SINGER)
    found = build(tmp_path, spec)
    assert len(found.state.approved()) == 12
    asked = {place: one.body for place, one in served.asked}
    for brief in found.briefs:
        speech = asked["speech", brief.number, 1]
        assert speech["model"] == {"talk": SPEAKER, "sing": SINGER}[brief.mode]
        assert speech["voice"] == {"female": "anna", "male": "ben", "unknown": "pet"}[brief.gender]
        assert asked["image", brief.number, 1]["size"] == "488x512"
        written = asked["writing", brief.number, 1]["messages"][1]["content"]
        assert {"talk": "talks to the camera", "sing": "sings"}[brief.mode] in written
        assert brief.environment in written
        attempt = found.state.slots[brief.id].attempts[0]
        assert attempt.done[Kind.SPOKEN]["model"] == speech["model"]
        judged_by = asked["verdict", brief.number, 1]["messages"][1]["content"][1]["text"]
        assert attempt.done[Kind.WRITTEN]["texts"]["message"] in judged_by
        assert f"({attempt.done[Kind.SPOKEN]['duration_s']:.1f} seconds as recorded)" in judged_by


def test_images_by_address(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    served.by_address = True
    assert len(build(tmp_path, write_spec(target=2)).state.approved()) == 2


def test_a_server_that_fails_for_one_slot_is_asked_again_by_the_next_run(
    tmp_path: Path, served: StandIn, write_spec: SpecWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    served.faults["image", 2, 1] = always(Answer({"detail": "out of memory"}, 500))
    found = lay_out(tmp_path / "build", write_spec())
    begin(found)
    with pytest.raises(StoppedError, match="1 slots wait for a server that did not answer"):
        run(found, lambda: None)
    assert len(found.state.approved()) == 5
    assert served.counts["image", 2, 1] == endpoint.RETRIES
    silent = [entry for entry in found.ledger.read() if entry.kind is Kind.SILENT]
    assert [entry.data for entry in silent] == [{"step": "image", "problem": "the server answered 500 (out of memory)"}]
    assert main(["build", "status", "--build", str(tmp_path / "build")]) == 0
    assert f"unanswered: {found.briefs[1].id}, image: the server answered 500" in capsys.readouterr().out
    served.faults.clear()
    again = open_build(tmp_path / "build")
    run(again, lambda: None)
    assert len(again.state.approved()) == 6
    assert again.state.slots[found.briefs[1].id].failures == []
    assert served.counts["writing", 2, 1] == 1, "steps before it are not asked for again"


@pytest.mark.parametrize("status", [503, 401])
def test_a_server_that_is_down_stops_the_run_in_one_line(
    status: int,
    tmp_path: Path,
    served: StandIn,
    write_spec: SpecWriter,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(1, 7):
        served.faults["speech", number, 1] = always(refusal(status, "no way"))
    arguments = ["build", "run", "--build", str(tmp_path / "build")]
    lay_out(tmp_path / "build", write_spec(workers=1))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert f"speech, speaker-1 at http://{served.host}/v1: the server answered {status}, saying 'no way'" in said
    assert said.count("\n") == 1
    asked = sum(count for (step, _, _), count in served.counts.items() if step == "speech")
    assert asked == {503: MAX_SILENCES * endpoint.RETRIES, 401: 1}[status]
    served.faults.clear()
    assert main(arguments) == 0
    assert "6 of 6 approved, 0 attempts failed" in capsys.readouterr().out


def test_a_server_that_refuses_everything_stops_the_run(
    tmp_path: Path, served: StandIn, write_spec: SpecWriter
) -> None:
    with pytest.raises(StoppedError, match=r"the server refuses every request, saying .invalid request"):
        build(tmp_path, write_spec(target=20, workers=1, image__extra={"quality": "hd", "shiny": True}))
    assert not any(step == "image" for step, _, _ in served.counts)
    entries = open_build(tmp_path / "build").ledger.read()
    assert sum(entry.kind is Kind.FAILED for entry in entries) == MAX_REFUSALS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image__model": "other"}, f"image: .* serves .*{PAINTER}.*, not other"),
        ({"speech__singing_model": "tenor"}, "speech: .* serves .*, not tenor"),
        ({"writer__key_variable": "NOT_SET"}, "writing: no writer-1 at .*: the server answered 401"),
        ({"speech__url": "http://127.0.0.1:9/v1"}, "speech: no speaker-1 at .* cannot be reached"),
    ],
)
def test_servers_are_checked_first(
    change: dict[str, str], message: str, tmp_path: Path, served: StandIn, write_spec: SpecWriter
) -> None:
    with pytest.raises(ValueError, match=message):
        build(tmp_path, write_spec(**change))
    assert not served.asked


def test_a_build_keeps_to_its_plan(tmp_path: Path, write_spec: SpecWriter) -> None:
    found = build(tmp_path, write_spec(target=1))
    found.directory.spec.write_text(found.directory.spec.read_text().replace("target: 1", "target: 2"))
    with pytest.raises(ValueError, match="the spec's plan is not the one that this build began with"):
        open_build(found.directory.path)


def test_the_command_line_may_not_change_the_plan(
    tmp_path: Path, write_spec: SpecWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lay_out(tmp_path / "build", write_spec())
    assert main(["build", "run", "--build", str(found.directory.path), "--set", "target=2"]) == 2
    assert "--set would change what is built" in capsys.readouterr().err
    assert not found.ledger.read()


def test_one_run_at_a_time(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    found = lay_out(tmp_path / "build", write_spec())
    with found.directory.at_work():
        assert main(["build", "run", "--build", str(found.directory.path)]) == 2
    assert not served.asked


def test_a_damaged_file_is_made_again(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> None:
    served.faults["image", 1, 1] = always(Answer({}, 500))
    found = lay_out(tmp_path / "build", write_spec(target=1))
    begin(found)
    with pytest.raises(StoppedError):
        run(found, lambda: None)
    found.directory.attempt_file(found.briefs[0].id, 1, "wav").write_bytes(b"")
    served.faults.clear()
    run(found, lambda: None)
    assert served.counts["speech", 1, 1] == 2
