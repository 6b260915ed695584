"""The four servers of a build in one. They are as strict as real ones, and the same request gets the same answer."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import soundfile

from bench.builder.texts import is_chinese
from tests.worlds.served_models import Answer, Asked

KEY = "test-key"
WRITER, JUDGE, PAINTER, SPEAKER = "writer-1", "judge-1", "painter-1", "speaker-1"
SINGER = "singer-1"
VOICES = ("anna", "ben", "pet")
RATE_HZ = 16000
LETTERS_PER_S = {"en": 17.5, "cn": 5.2}
PLACE = re.compile(r"case (\d+) try (\d+)|案(\d+)之(\d+)")
Place = tuple[str, int, int]
"""Step, number of the slot, number of the attempt."""
Fault = Callable[[Asked, Answer], Answer]
"""Takes a request and its right answer; returns the answer that is sent instead."""


class StandIn:
    """The answers of the servers, for `serving`. `faults` holds what goes wrong, `asked` the requests so far."""

    def __init__(self) -> None:
        self.faults: dict[Place, Fault] = {}
        self.asked: list[tuple[Place, Asked]] = []
        self.on_asked: Callable[[int], None] = lambda _: None
        """Called with the number of requests so far, before each is answered."""
        self.by_address = False
        """Whether images are answered by an address instead of base64."""
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counter[Place]:
        return Counter(place for place, _ in self.asked)

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.startswith("/files/"):
            return Answer(self._files[asked.path], type="image/png")
        if asked.authorization != f"Bearer {KEY}":
            return refusal(401, "Incorrect API key provided")
        if asked.path == "/v1/models":
            names = (WRITER, JUDGE, PAINTER, SPEAKER, SINGER)
            return Answer({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        try:
            place, answer = self._served(asked)
        except (AssertionError, KeyError, TypeError, AttributeError) as error:
            return refusal(400, f"invalid request: {error!r}")
        with self._lock:
            self.asked.append((place, asked))
            num = len(self.asked)
        self.on_asked(num)
        fault = self.faults.get(place)
        return answer if fault is None else fault(asked, answer)

    def _served(self, asked: Asked) -> tuple[Place, Answer]:
        body = asked.body
        if asked.path == "/v1/images/generations":
            return self._paint(asked)
        if asked.path == "/v1/audio/speech":
            return speak(body)
        assert asked.path == "/v1/chat/completions", asked.path
        schema = body["response_format"]["json_schema"]
        assert body["response_format"]["type"] == "json_schema"
        assert schema["strict"] is True
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", schema["name"])
        assert schema["schema"]["additionalProperties"] is False
        assert set(schema["schema"]["required"]) == set(schema["schema"]["properties"])
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert isinstance(body["seed"], int)
        place, reply = {WRITER: write, JUDGE: judge}[body["model"]](body["messages"][1]["content"])
        assert set(reply) == set(schema["schema"]["properties"]), "the schema is the reply's"
        return place, completion(json.dumps(reply, ensure_ascii=False))

    def _paint(self, asked: Asked) -> tuple[Place, Answer]:
        body = asked.body
        assert set(body) <= {"model", "prompt", "n", "size", "response_format", "seed", "quality"}, set(body)
        assert (body["model"], body["n"], body["response_format"]) == (PAINTER, 1, "b64_json")
        width, height = map(int, body["size"].split("x"))
        number, attempt = found(body["prompt"])
        image = png(width, height, number * 100 + attempt)
        data: dict[str, Any] = {"b64_json": base64.b64encode(image).decode(), "revised_prompt": body["prompt"]}
        if self.by_address:
            path = f"/files/{number}-{attempt}.png"
            self._files[path] = image
            data = {"url": f"http://{self.host}{path}"}
        return ("image", number, attempt), Answer({"created": 1, "data": [data]})

    host = ""
    """Host in the addresses that images are answered by."""


def write(content: str) -> tuple[Place, dict[str, Any]]:
    number = int(re.search(r"Brief number (\d+)", content)[1])  # type: ignore[index]
    attempt = 1 + len(re.findall(r"^- ", content, re.MULTILINE))
    wanted = int(re.search(r"message: about (\d+) letters", content)[1])  # type: ignore[index]
    low, high = map(int, re.search(r"en_prompt: (\d+) to (\d+) words", content).groups())  # type: ignore[union-attr]
    age = re.search(r"age: (\d+)-\d+ years", content)
    chinese = "language: Chinese" in content
    start = f"案{number}之{attempt}" if chinese else f"case {number} try {attempt} "
    return ("writing", number, attempt), {
        "image_prompt": f"case {number} try {attempt}: a portrait",
        "message": start.ljust(wanted, "好" if chinese else "a"),
        "en_prompt": " ".join(["word"] * ((low + high) // 2)),
        "cn_prompt": "画面中的人正在讲话。",
        "age": int(age[1]) if age else 3,
        "nationality": "Chinese" if chinese else "American",
        "hobbies": ["tests"],
        "personality": "calm, exact, tireless",
    }


def speak(body: Any) -> tuple[Place, Answer]:
    assert set(body) <= {"model", "input", "voice", "response_format", "speed"}, set(body)
    assert body["model"] in {SPEAKER, SINGER}
    assert body["response_format"] == "wav"
    assert body["voice"] in VOICES
    number, attempt = found(body["input"])
    seconds = len(body["input"]) / LETTERS_PER_S["cn" if is_chinese(body["input"]) else "en"]
    return ("speech", number, attempt), sound(seconds, 200.0 + number)


def judge(content: Any) -> tuple[Place, dict[str, Any]]:
    image, text = content
    assert (image["type"], text["type"]) == ("image_url", "text")
    encoded = image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    assert cv2.imdecode(np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8), cv2.IMREAD_COLOR) is not None
    assert re.search(r"\(\d+\.\d seconds as recorded\)", text["text"])
    number, attempt = found(text["text"])
    return ("verdict", number, attempt), verdict()


def verdict(reason: str = "Fits.", *, approved: bool = True, **grades: int) -> dict[str, Any]:
    names = ("image_fidelity", "brief_match", "message", "scene_text", "suitability")
    return {**dict.fromkeys(names, 5), **grades, "reason": reason, "approved": approved}


def found(text: str) -> tuple[int, int]:
    """Number and attempt, which the writer puts into its texts."""
    match = PLACE.search(text)
    assert match is not None, f"no case in {text!r}"
    number, attempt = (int(one) for one in match.groups() if one is not None)
    return number, attempt


def completion(text: str, finish_reason: str = "stop", **message: Any) -> Answer:
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish_reason}
    return Answer({"object": "chat.completion", "choices": [choice]})


def refusal(status: int, message: str) -> Answer:
    return Answer({"error": {"message": message, "type": "invalid_request_error", "code": None}}, status)


def png(width: int, height: int, seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3)).astype(np.uint8)
    ok, data = cv2.imencode(".png", cv2.resize(coarse, (width, height)), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return data.tobytes()


def sound(seconds: float, pitch_hz: float, level: float = 0.3) -> Answer:
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    file = io.BytesIO()
    soundfile.write(file, level * np.sin(2 * np.pi * pitch_hz * times_s), RATE_HZ, format="WAV", subtype="PCM_16")
    return Answer(file.getvalue(), type="audio/wav")
