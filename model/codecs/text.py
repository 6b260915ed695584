"""Prompts to text states: UMT5, and hashed tokens for the `tiny` preset.

Letters: B prompts, L text tokens, D width of the text states.
"""

import hashlib
import html
import re
from collections.abc import Sequence
from typing import Any

import ftfy
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

MAX_TOKENS = 512
"""Text tokens of Wan2.2: padded with zero states, which attention does see (they are not masked)."""


class HashedTextEncoder(ModelMixin, ConfigMixin):
    """Words are looked up by their hash in a fixed random table: a prompt has the same states on every machine.

    A state is the embedding of a word plus that of the pair it forms with the word before it, so that order
    counts.
    """

    @register_to_config
    def __init__(
        self,
        text_dim: int = 64,
        num_buckets: int = 4096,
        max_tokens: int = 64,  # noqa: ARG002 (kept in the configuration)
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        table = torch.randn(num_buckets, text_dim, generator=generator)
        self.table = nn.Parameter(table, requires_grad=False)

    def forward(self, buckets: Tensor) -> Tensor:
        """Buckets (L, 2) of words and pairs to states (L, D)."""
        states: Tensor = self.table[buckets].mean(dim=1)
        return states

    def encode(self, prompt: str) -> Tensor:
        """States (L, D) of one prompt, L up to `max_tokens` (the rest is cut)."""
        words = re.findall(r"\w+|[^\w\s]", prompt.lower())[: self.config.max_tokens]
        pairs = zip(["", *words], words, strict=False)
        buckets = [(self._bucket(word), self._bucket(f"{before} {word}")) for before, word in pairs]
        states: Tensor = self(torch.tensor(buckets, dtype=torch.long, device=self.device).reshape(-1, 2))
        return states

    def _bucket(self, token: str) -> int:
        # Python's own hash differs from process to process.
        digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % int(self.config.num_buckets)


def clean_prompt(prompt: str) -> str:
    """Repair Unicode and HTML entities and collapse white space, as Wan cleans its prompts."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(prompt)))).strip()


def encode_text(text_encoder: Any, tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Text states (B, L, D) as the network takes them: zeros after the end of each prompt.

    Args:
        text_encoder: transformers' `UMT5EncoderModel` (L = 512), or a `HashedTextEncoder` (L = its
            `max_tokens`).
        tokenizer: UMT5's tokenizer; None for hashed tokens, which need none.
        prompts: B prompts. An empty one is a valid prompt.
    """
    return _zero_padded(text_states(text_encoder, tokenizer, prompts), max_text_tokens(text_encoder))


@torch.no_grad()
def text_states(text_encoder: Any, tokenizer: Any, prompts: Sequence[str]) -> list[Tensor]:
    """States (L, D) of each prompt at its own length: as `encode_text`, without the padding."""
    cleaned = [clean_prompt(prompt) for prompt in prompts]
    if isinstance(text_encoder, HashedTextEncoder):
        return [text_encoder.encode(prompt) for prompt in cleaned]
    if tokenizer is None:
        raise ValueError(f"{type(text_encoder).__name__} needs a tokenizer, and the model directory has none")
    tokens = tokenizer(
        cleaned,
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    device = text_encoder.device
    hidden = text_encoder(tokens.input_ids.to(device), tokens.attention_mask.to(device)).last_hidden_state
    lengths = tokens.attention_mask.sum(dim=1).tolist()
    return [state[:length] for state, length in zip(hidden, lengths, strict=True)]


def max_text_tokens(text_encoder: Any) -> int:
    """The L to which the network's text states are padded."""
    if isinstance(text_encoder, HashedTextEncoder):
        return int(text_encoder.config.max_tokens)
    return MAX_TOKENS


def _zero_padded(states: Sequence[Tensor], length: int) -> Tensor:
    return torch.stack([nn.functional.pad(state, (0, 0, 0, length - len(state))) for state in states])
