"""Claims judged by a served model: each by itself, and the clip rejected by the one that the frames contradict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curation.backends.vlm.claims import VlmJudge, VlmJudgeConfig
from curation.clip.caption import CameraMovement, Caption, HumanAction
from curation.clip.claims import Claim, attribute_claims
from curation.clip.motion import CameraMotion
from curation.clip.schema import Clip
from curation.stages.consistency import ConsistencyConfig, ConsistencyFilter
from tests.worlds.people_clips import make_clip
from tests.worlds.served_models import Answer
from tests.worlds.vlm_server import MODEL, VlmServer, vlm_server, yes_or_no

CAPTION = Caption(
    scene="A kitchen.",
    human_action=HumanAction(legs="walks"),
    camera_movement=CameraMovement.PAN_LEFT,
    brief="A man walks.",
    detailed="A man walks through a kitchen.",
)
CLIP = replace(make_clip([np.full((48, 64, 3), shade, np.uint8) for shade in (0, 120, 240)]), caption=CAPTION)


def judged(server: VlmServer, clip: Clip = CLIP, **config: Any) -> Clip:
    stage = ConsistencyFilter(ConsistencyConfig(**config))
    stage.judge = VlmJudge(VlmJudgeConfig(model=MODEL, url=server.url))
    return stage(clip)


def test_claims_are_what_the_caption_says() -> None:
    assert attribute_claims(CAPTION) == (
        Claim("scene", "A kitchen."),
        Claim("human_action.legs", "walks"),
        Claim("camera_movement", "pan left"),
        Claim("brief", "A man walks."),
        Claim("detailed", "A man walks through a kitchen."),
    )


def test_the_least_probable_claim_decides() -> None:
    with vlm_server() as server:
        server.respond = lambda name, body: Answer(yes_or_no(0.05 if "pan left" in name else 0.9))
        clip = judged(server)
        assert clip.rejection is not None
        assert (clip.rejection.stage, clip.rejection.rule) == ("consistency", "refuted_claim")
        assert clip.rejection.value == pytest.approx(0.05)
        assert clip.rejection.threshold == 0.2
        assert clip.scores["consistency_least_claim"] == "camera_movement: pan left"
        assert clip.scores["consistency_claims_judged"] == 5
        asked = [body["messages"][0]["content"][1]["text"] for body in server.asked]
        assert any('says of it: "The scene is A kitchen." Compare' in text for text in asked)
        kept = judged(server, min_claim_probability=0.04)
        assert kept.kept
        assert kept.scores["consistency_least_probability"] == pytest.approx(0.05)


def test_what_is_measured_needs_no_judge() -> None:
    still = CameraMotion(
        pan_per_s=0.0, tilt_per_s=0.0, zoom_per_s=0.0, roll_deg_per_s=0.0, speed_per_s=0.0, shake_per_s=0.0
    )
    with vlm_server() as server:
        clip = judged(server, CLIP.with_scores(**still.scores()))
        assert clip.rejection is not None
        assert clip.rejection.rule == "moving_camera_on_static_shot"
        assert server.asked == []


def test_nothing_to_see_or_to_judge_rejects_nothing() -> None:
    with vlm_server() as server:
        blind = judged(server, replace(CLIP, keyframes=()))
        assert (blind.kept, blind.scores["consistency_claims_judged"]) == (True, 0)
        assert judged(server, replace(CLIP, caption=None)).kept
        assert server.asked == []


@pytest.mark.parametrize("changes", [{"min_claim_probability": 1.1}, {"in_flight": 0}])
def test_impossible_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        ConsistencyConfig(**changes)
