"""Captions, defects and claims by vision-language models on real vLLM, whose answers are noise held to a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from curation.backends.vlm.captions import KINDS, TEXT_KINDS, VlmCaptioner, VlmCaptionerConfig
from curation.backends.vlm.claims import VlmJudge, VlmJudgeConfig
from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.defects import VlmDefects, VlmDefectsConfig
from curation.backends.vlm.prompts import load_prompt
from curation.clip.claims import Claim
from curation.clip.schema import Clip
from tests.worlds.served_vllm import CAPTIONS, CLAIMS, Served

Clips = tuple[Clip, Clip]


@pytest.fixture(scope="module")
def captioner(vllm_servers: Served) -> VlmCaptioner:
    # A reply of noise ends where its grammar has an end.
    url = f"{vllm_servers.urls['captions']}/v1"
    return VlmCaptioner(VlmCaptionerConfig(model=CAPTIONS, url=url, max_tokens=400))


@pytest.fixture(scope="module")
def judging(vllm_servers: Served) -> dict[str, Any]:
    return {"model": CLAIMS, "url": f"{vllm_servers.urls['defects']}/v1", "max_keyframes": 3}


def test_a_clip_has_a_caption_put_together_from_valid_replies(captioner: VlmCaptioner, clips: Clips) -> None:
    described = captioner.caption(clips[0], {"camera_movement": "static"})
    used = {reply.prompt: reply for reply in described.replies if reply.refused is None}
    assert list(used) == ["scene", "shot", "action", "hands", "motion", "brief", "detailed"]
    said = {name: json.loads(reply.text, strict=False) for name, reply in used.items()}
    for name, value in said.items():
        assert {**KINDS, **TEXT_KINDS}[name].model_validate(value)
    assert described.caption.brief == said["brief"]["brief"].strip()
    assert described.caption.num_people == said["shot"]["num_people"]
    assert described.caption.camera_movement == "static", "what a person has labelled stands"
    assert all(reply.model == CAPTIONS and reply.completion_tokens > 0 for reply in used.values())


def picture_tokens(clip: Clip) -> int:
    """Qwen3-VL has a token for 32 × 32 pixels of two frames."""
    height, width = clip.keyframes[0].image().shape[:2]
    return int(-(-len(clip.keyframes) // 2) * round(height / 32) * round(width / 32))


def test_only_the_first_question_brings_new_pictures(captioner: VlmCaptioner, clips: Clips) -> None:
    clip = replace(clips[1], keyframes=clips[1].keyframes[1:])
    first, *others = captioner.caption(clip, {}).replies
    assert first.cached_tokens is not None
    assert first.cached_tokens < picture_tokens(clip)
    for reply in others:
        assert reply.cached_tokens is not None
        # Whole blocks of 128 tokens are cached.
        assert reply.cached_tokens > picture_tokens(clip) - 128, reply.prompt


def test_the_model_sees_each_keyframe_in_full(captioner: VlmCaptioner, clips: Clips) -> None:
    """Without our options the server would read one frame a second."""

    def asked(clip: Clip) -> int:
        video = ClipVideo.of(clip, captioner.config)
        return captioner.client.ask(video, captioner.questions[0]).replies[0].prompt_tokens

    pair, all_seven = replace(clips[0], keyframes=clips[0].keyframes[:2]), clips[0]
    more = picture_tokens(all_seven) - picture_tokens(pair)
    # Beside its pictures, a pair has its time in words.
    assert more <= asked(all_seven) - asked(pair) <= more + 3 * 30


def test_every_defect_has_a_probability_that_is_the_clips_own(judging: dict[str, Any], clips: Clips) -> None:
    defects = VlmDefects(VlmDefectsConfig(**judging))
    first, again, other = (defects.detect(clip) for clip in (clips[0], clips[0], clips[1]))
    assert list(first) == list(load_prompt("defects").items)
    assert all(0 <= probability <= 1 for probability in first.values())
    assert again == pytest.approx(first, abs=1e-5)
    assert other != pytest.approx(first, abs=1e-4)


def test_every_claim_has_a_probability_of_its_own(judging: dict[str, Any], clips: Clips) -> None:
    claims = [Claim("scene", "a kitchen"), Claim("lighting", "soft daylight"), Claim("brief", "A man talks.")]
    judged = VlmJudge(VlmJudgeConfig(**judging)).judge(clips[0], claims)
    assert list(judged) == claims
    assert all(0 <= probability <= 1 for probability in judged.values())
    assert len(set(judged.values())) == len(claims)


@pytest.mark.parametrize("config", [VlmCaptionerConfig, VlmDefectsConfig, VlmJudgeConfig])
def test_a_server_that_serves_the_model_lacks_nothing(vllm_servers: Served, config: Callable[..., Any]) -> None:
    url = f"{vllm_servers.urls['captions']}/v1"
    assert config(model=CAPTIONS, url=url).missing() == []
    (line,) = config(model="other", url=url).missing()
    assert line.startswith(f"the server at {url} serves {CAPTIONS} and not other; start it with")
