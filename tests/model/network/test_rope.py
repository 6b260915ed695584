import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from model.network.rope import RotaryEmbedding, apply_rotary


def test_tables_equal_diffusers() -> None:
    theirs = WanRotaryPosEmbed(128, (1, 2, 2), 1024)
    expected = theirs(torch.empty(1, 1, 3, 8, 10))
    actual = RotaryEmbedding(128, 1024)(3, 4, 5, torch.device("cpu"))
    for table, reference in zip(actual, expected, strict=True):
        assert torch.equal(table.flatten(0, 1), reference[0, ..., ::2])


def test_head_is_split_44_42_42() -> None:
    assert RotaryEmbedding(128, 1024).axis_dims == (44, 42, 42)


def test_scores_depend_on_relative_positions_only() -> None:
    cos, sin = (table.flatten(0, 1) for table in RotaryEmbedding(24, 64)(8, 1, 1, torch.device("cpu")))
    query, key = torch.randn(2, 24).unbind()
    queries = apply_rotary(query.expand(1, 8, 1, 24), (cos, sin))[0, :, 0]
    keys = apply_rotary(key.expand(1, 8, 1, 24), (cos, sin))[0, :, 0]
    scores = queries @ keys.T
    for offset in range(-7, 8):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)


def test_too_long_an_axis_is_an_error() -> None:
    with pytest.raises(ValueError, match="exceeds the longest axis of 16"):
        RotaryEmbedding(24, 16)(17, 2, 2, torch.device("cpu"))
