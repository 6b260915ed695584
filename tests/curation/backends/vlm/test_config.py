"""Settings of a served model: what may not be, what changes decisions, and what is not there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from curation.backends.settings import decisive
from curation.backends.vlm.captions import VlmCaptionerConfig
from curation.backends.vlm.claims import VlmJudgeConfig
from curation.backends.vlm.config import VlmConfig
from curation.backends.vlm.defects import VlmDefectsConfig
from infra.config import ConfigError, build
from tests.worlds.vlm_server import MODEL, vlm_server


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "localhost:8000"}, "begins with http"),
        ({"model": ""}, "needs a name"),
        ({"timeout_s": 0.0}, "timeout_s must be above 0"),
        ({"patience_s": -1.0}, "patience_s must not be negative"),
        ({"max_keyframes": 0}, "max_keyframes must be at least 1"),
        ({"max_frame_pixels": 0}, "max_frame_pixels must be at least 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"tries": 0}, "tries must be at least 1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VlmConfig(**{"model": MODEL, **changes})
    assert VlmConfig(model=MODEL, temperature=0.0, tries=1).tries == 1


@pytest.mark.parametrize("kind", [VlmCaptionerConfig, VlmDefectsConfig, VlmJudgeConfig])
def test_the_place_changes_no_decision_and_the_model_does(kind: Callable[..., VlmConfig]) -> None:
    placed = kind(url="https://far/v1", key_variable="K", timeout_s=1.0, patience_s=1.0)
    assert decisive(placed) == decisive(kind())
    for changes in ({"model": "m"}, {"max_keyframes": 3}, {"max_frame_pixels": 9}, {"max_tokens": 9}, {"tries": 9}):
        assert decisive(kind(**changes)) != decisive(kind())


def test_the_wording_is_no_setting() -> None:
    assert build(VlmCaptionerConfig, {"events": True}, "profile").events
    with pytest.raises(ConfigError, match="unknown key 'wording'"):
        build(VlmCaptionerConfig, {"wording": "x"}, "profile")


def test_doctor_hears_whether_the_server_serves_the_model() -> None:
    with vlm_server() as server:
        assert VlmConfig(model=MODEL, url=server.url).missing() == []
        (line,) = VlmConfig(model="other", url=server.url).missing()
        assert line.startswith(f"the server at {server.url} serves qwen and not other; start it with")
        assert VlmConfig(model=MODEL, url=server.url).found() == f"qwen at {server.url}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (line,) = VlmConfig(model=MODEL, url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1").missing()
    assert line.startswith("no server for qwen at http://127.0.0.1")
    assert "--served-model-name qwen" in line
