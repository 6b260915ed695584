"""Defects flagged by a served model: each kind its own question, probability and limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curation.backends.vlm.defects import VlmDefects, VlmDefectsConfig
from curation.stages.defects import ASKED, DefectConfig, DefectFilter
from tests.worlds.people_clips import make_clip
from tests.worlds.served_models import Answer
from tests.worlds.vlm_server import MODEL, VlmServer, vlm_server, yes_or_no

CLIP = make_clip([np.full((48, 64, 3), shade, np.uint8) for shade in range(0, 240, 20)])


def watermarked(name: str, body: dict[str, Any]) -> Answer:
    return Answer(yes_or_no(0.9 if "watermark" in name else 0.1))


def detector(server: VlmServer) -> VlmDefects:
    return VlmDefects(VlmDefectsConfig(model=MODEL, url=server.url))


def test_each_kind_has_its_probability() -> None:
    with vlm_server() as server:
        server.respond = watermarked
        found = detector(server).detect(CLIP)
    assert found == pytest.approx({kind: 0.9 if kind == "watermark" else 0.1 for kind in ASKED})
    assert len(server.asked) == len(ASKED)
    assert all(len(body["messages"][0]["content"][0]["video_url"]["url"].split(",")) == 1 + 6 for body in server.asked)
    assert detector(server).detect(replace(CLIP, keyframes=())) == {}


def test_the_second_detector_is_asked_about_what_the_first_lets_pass() -> None:
    with vlm_server() as server:
        server.respond = watermarked
        stage = DefectFilter(DefectConfig())
        stage.second = detector(server)
        moving = replace(CLIP, stats=None)
        clip = stage(moving)
        assert clip.rejection is not None
        assert (clip.rejection.rule, clip.rejection.threshold) == ("watermark", 0.5)
        assert clip.rejection.value == pytest.approx(0.9)
        assert clip.scores["defect_poor_image"] == pytest.approx(0.1)
        assert "defect_letterbox" in clip.scores
        num_asked = len(server.asked)
        still = stage(make_clip([np.full((48, 64, 3), 90, np.uint8)] * 12))
        assert still.rejection is not None
        assert still.rejection.rule in ("frozen", "still")
        assert len(server.asked) == num_asked
        stage = DefectFilter(DefectConfig(max_watermark=0.95))
        stage.second = detector(server)
        assert stage(moving).kept
