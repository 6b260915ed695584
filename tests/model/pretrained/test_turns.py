import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.codecs.text import HashedTextEncoder
from model.generation.pipeline import SoulPipeline
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.turns import stream_in_turns
from tests.worlds.pipelines import asked, noise
from tests.worlds.small_model import small_model


def num_text_encoders() -> int:
    gc.collect()
    return sum(type(each) is HashedTextEncoder for each in gc.get_objects())


def test_the_video_is_the_pipelines_and_the_text_encoder_is_gone_when_the_network_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory: Path = small_model()
    request = asked(audio=noise(0.9), steps=2, height=64, width=64)
    expected = list(SoulPipeline.from_pretrained(directory).stream(request))
    before, seen = num_text_encoders(), []
    load = SoulTransformer3DModel.from_pretrained

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append(num_text_encoders())
        return load(*arguments, **options)

    monkeypatch.setattr(SoulTransformer3DModel, "from_pretrained", watched)
    made = list(stream_in_turns(directory, request, dtype=torch.float32))
    assert seen == [before]
    assert len(made) == len(expected) > 1
    for ours, theirs in zip(made, expected, strict=True):
        assert torch.equal(ours.latents, theirs.latents)
        assert np.array_equal(ours.frames, theirs.frames)
