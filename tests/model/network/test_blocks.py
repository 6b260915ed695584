import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from einops import rearrange
from torch import Tensor

from model.network.audio_injection import AudioAttention
from model.network.blocks import SoulTransformerBlock
from model.network.rope import RotaryEmbedding, RotaryTables
from tests.worlds.networks import randomise, relative_error

DIM, HEADS, FFN, TEXT, WINDOW = 96, 4, 128, 7, 12
FRAMES, HEIGHT, WIDTH = 3, 2, 5


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor, RotaryTables]:
    tokens = torch.randn(2, FRAMES, HEIGHT * WIDTH, DIM)
    audio = torch.randn(2, FRAMES, WINDOW, DIM)
    modulation = torch.randn(2, FRAMES, 6, DIM)
    cos, sin = RotaryEmbedding(DIM // HEADS, 1024)(FRAMES, HEIGHT, WIDTH, torch.device("cpu"))
    tables = (cos.flatten(0, 1), sin.flatten(0, 1))
    return tokens, torch.randn(2, TEXT, DIM), audio, modulation, tables


def random_block() -> SoulTransformerBlock:
    block = SoulTransformerBlock(DIM, FFN, HEADS, cross_attn_norm=True, eps=1e-6)
    randomise(block)
    return block


@torch.no_grad()
def test_modulation_per_frame_equals_diffusers_modulation_per_token() -> None:
    torch.manual_seed(0)
    ours = random_block()
    theirs = WanTransformerBlock(DIM, FFN, HEADS, cross_attn_norm=True)
    theirs.load_state_dict({name: value for name, value in ours.state_dict().items() if "audio" not in name})
    for parameter in ours.attn_audio.to_out.parameters():
        parameter.zero_()
    tokens, text, audio, modulation, (cos, sin) = inputs()
    per_token = modulation.repeat_interleave(HEIGHT * WIDTH, dim=1)
    # diffusers repeats each cosine and sine for both channels of a pair.
    wan_tables = tuple(rearrange(table.repeat_interleave(2, -1), "n 1 d -> 1 n 1 d") for table in (cos, sin))
    expected = theirs(rearrange(tokens, "b f s d -> b (f s) d"), text, per_token, wan_tables)
    actual = ours(tokens, text, audio, modulation, (cos, sin))
    assert relative_error(rearrange(actual, "b f s d -> b (f s) d"), expected) <= 1e-6


@pytest.mark.parametrize("frame", range(FRAMES))
@torch.no_grad()
def test_audio_of_a_frame_moves_that_frame_only(frame: int) -> None:
    block = random_block()
    tokens, text, audio, modulation, tables = inputs()
    before = block(tokens, text, audio, modulation, tables)
    audio[:, frame] += torch.randn(WINDOW, DIM)
    moved = (block(tokens, text, audio, modulation, tables) - before).abs().amax(dim=(0, 2, 3))
    assert [bool(change > 0) for change in moved] == [index == frame for index in range(FRAMES)]
    assert moved[frame] > 1e-2


@torch.no_grad()
def test_audio_attention_matches_attention_computed_by_hand() -> None:
    attention = AudioAttention(DIM, 1, 1e-6)
    randomise(attention)
    tokens, _, audio, _, _ = inputs()
    query = attention.norm_q(attention.to_q(tokens))
    key = attention.norm_k(attention.to_k(audio))
    weights = torch.softmax(torch.einsum("bfsd,bftd->bfst", query, key) / DIM**0.5, dim=-1)
    expected = attention.to_out[0](torch.einsum("bfst,bftd->bfsd", weights, attention.to_v(audio)))
    torch.testing.assert_close(attention(tokens, audio), expected)
