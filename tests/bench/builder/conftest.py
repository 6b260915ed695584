"""A stand-in for the servers of a build, and a small spec that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from infra.served import endpoint
from tests.worlds.builder_servers import JUDGE, KEY, PAINTER, SPEAKER, WRITER, StandIn
from tests.worlds.served_models import serving

SpecWriter = Callable[..., Path]

SHARES = {
    "subject": {"human": 4, "animation": 1, "animal": 1},
    "mode": {"talk": 1},
    "language": {"en": 1, "cn": 1},
    "gender": {"female": 1, "male": 1},
    "age": {"18-34": 1, "55-80": 1},
    "shot": {"portrait": 1, "upper_body": 2, "full_body": 1},
    "duration_s": {"2-3": 1},
    "prompt_words": {"8-12": 1},
    "size": {"488x512": 1},
    "human_style": {"photograph": 1},
    "animation_style": {"drawing": 1},
    "animal_style": {"photograph": 1},
    "accessories": {"none": 1, "glasses": 1},
    "environment": {"studio": 1},
    "objects": {"none": 1, "a cup": 1},
}
VOICES = {
    f"{language}_{gender}": [voice]
    for language in ("en", "cn")
    for gender, voice in (("female", "anna"), ("male", "ben"), ("unknown", "pet"))
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stand_in = StandIn()
    with serving(stand_in) as url:
        stand_in.host = url.removeprefix("http://")
        yield stand_in


@pytest.fixture
def write_spec(served: StandIn, tmp_path: Path) -> SpecWriter:
    """Writes a spec of six slots; keywords lay over its top, `shares__shot=…` over its sections."""

    def write(**changes: object) -> Path:
        url = f"http://{served.host}/v1"
        spec: dict[str, object] = {
            "name": "tiny-bench",
            "target": 6,
            "max_attempts": 3,
            "workers": 3,
            "shares": dict(SHARES),
            "writer": {"url": url, "model": WRITER},
            "image": {"url": url, "model": PAINTER, "send_seed": True},
            "speech": {"url": url, "model": SPEAKER, "voices": VOICES},
            "verdict": {"url": url, "model": JUDGE},
        }
        for name, value in changes.items():
            section, _, key = name.rpartition("__")
            place = spec[section] if section else spec
            assert isinstance(place, dict)
            place[key] = value
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(spec))
        return path

    return write
