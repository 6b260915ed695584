import pytest

from model.cost.flops import count_transformer_flops
from model.pretrained.presets import transformer_config


@pytest.mark.parametrize(
    ("height", "width", "num_frames", "tokens", "backbone_tflop"),
    [
        pytest.param(704, 1280, 109, 24_640, 442, marks=pytest.mark.slow),
        pytest.param(1088, 1920, 109, 57_120, 1710, marks=pytest.mark.slow),
        (1088, 1920, 129, 67_320, 2268),
    ],
)
def test_soul_5b_needs_the_derived_operations(
    height: int, width: int, num_frames: int, tokens: int, backbone_tflop: int
) -> None:
    flops = count_transformer_flops(transformer_config("soul-5b"), num_frames=num_frames, height=height, width=width)
    assert flops.num_tokens == tokens
    assert flops.backbone / 1e12 == pytest.approx(backbone_tflop, rel=0.01)
    # Four projections of the queries' side and the keys' side, and a window of 16 keys.
    by_hand = 30 * (2 * tokens * 2 * 3072**2 + 2 * 2 * tokens * 16 * 3072)
    keys = 30 * 2 * 2 * (num_frames // 4 + 1) * 16 * 3072**2 + 2 * (num_frames // 4 + 1) * 16 * 6400 * 3072
    assert flops.audio == by_hand + keys
    assert flops.total == flops.backbone + flops.audio


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 108}, "108 frames"),
        ({"num_frames": 0}, "0 frames"),
        ({"height": 720}, "height 720 is not divisible by 32"),
        ({"width": -32}, "width -32"),
    ],
)
def test_sizes_without_latents_are_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_transformer_flops(transformer_config("tiny"), **({"num_frames": 5, "height": 64, "width": 64} | changes))
