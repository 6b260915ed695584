from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import UMT5Config, UMT5EncoderModel

from model.codecs.text import HashedTextEncoder, clean_prompt, encode_text


class CharacterTokenizer:
    """Stands in for the downloaded tokenizer: a token a character."""

    def __call__(self, prompts: list[str], *, max_length: int, **_: object) -> SimpleNamespace:
        ids = [[ord(c) % 90 + 3 for c in prompt[: max_length - 1]] + [1] for prompt in prompts]
        mask = [[1] * len(i) + [0] * (max_length - len(i)) for i in ids]
        padded = [i + [0] * (max_length - len(i)) for i in ids]
        return SimpleNamespace(input_ids=torch.tensor(padded), attention_mask=torch.tensor(mask))


def test_hashed_states_are_zero_padded_and_depend_on_order() -> None:
    encoder = HashedTextEncoder(text_dim=16, max_tokens=8)
    states = encode_text(encoder, None, ["a woman speaks", "speaks woman a", ""])
    assert states.shape == (3, 8, 16)
    assert states[0, :3].abs().sum(dim=1).gt(0).all()
    assert states[:, 3:].abs().sum() == 0
    assert states[2].abs().sum() == 0
    assert not torch.allclose(states[0].sum(0), states[1].sum(0))


def test_hashed_states_are_the_same_in_every_process() -> None:
    # A number from another process: Python's own hash of a word differs from one to the next.
    total = encode_text(HashedTextEncoder(), None, ["a man nods"]).double().sum().item()
    assert total == pytest.approx(9.81520127877593, abs=1e-4)


def test_hashed_encoder_saves_and_loads(tmp_path: Path) -> None:
    encoder = HashedTextEncoder(text_dim=16)
    encoder.save_pretrained(tmp_path)
    loaded = HashedTextEncoder.from_pretrained(tmp_path)
    assert torch.equal(encode_text(loaded, None, ["hello"]), encode_text(encoder, None, ["hello"]))


def test_umt5_states_are_zero_behind_the_prompt() -> None:
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=100, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    encoder = UMT5EncoderModel(config).eval()
    states = encode_text(encoder, CharacterTokenizer(), ["hello", "hi"])
    assert states.shape == (2, 512, 16)
    assert states[0, :6].abs().sum(dim=1).gt(0).all()
    assert states[0, 6:].abs().sum() == 0
    assert states[1, 3:].abs().sum() == 0
    with pytest.raises(ValueError, match="tokenizer"):
        encode_text(encoder, None, ["hello"])


def test_prompts_are_cleaned() -> None:
    assert clean_prompt("  a\n woman &amp;amp; a  cat ") == "a woman & a cat"
