"""Qwen3-VL and Qwen2.5-VL with two small layers, as transformers and vLLM load them, tokenizer and chat template too.

What they write is noise, but held to a schema it is valid JSON: any byte is a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

SEED: Final = 0
WIDTH: Final = 64
NUM_HEADS: Final = 2
"""Of 32 values each: vLLM's attention on CPUs takes no smaller ones."""
MAX_TOKENS: Final = 32_768
VOCABULARY: Final = 512
END_OF_TEXT, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
VISION: Final = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
SPECIAL: Final = (END_OF_TEXT, "<|im_start|>", END_OF_TURN, *VISION.values())
TEXTS: Final = (
    "You annotate a video clip. Answer with one JSON object and nothing else.",
    '{"scene": "a person speaks to the camera", "subject": "a woman in a blue shirt", "action": "talking"}',
    "Does the video show what the sentence says? Answer yes or no.",
)
"""What the tokenizer is trained on."""
CHAT_TEMPLATE: Final = (
    "{%- for message in messages %}<|im_start|>{{ message.role + '\n' }}"
    "{%- if message.content is string %}{{ message.content }}"
    "{%- else %}{%- for part in message.content %}"
    "{%- if part.type in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part.type in ('video', 'video_url') %}<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif part.text is defined %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}{{ '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
)
"""What Qwen's own gives for messages of text, pictures and videos."""


def write_qwen3_vl(directory: Path) -> None:
    """Write a checkpoint of Qwen3-VL's architecture."""
    tokens = _tokenizer()
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [8, 4, 4], "mrope_interleaved": True}
    vision = {
        **_vision(),
        "out_hidden_size": WIDTH,
        "patch_size": 16,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    config = Qwen3VLConfig(
        text_config={**_text(tokens), "head_dim": WIDTH // NUM_HEADS, "rope_parameters": rope},
        vision_config=vision,
        **_ids(tokens),
    )
    torch.manual_seed(SEED)
    _save(directory, Qwen3VLForConditionalGeneration(config), tokens)
    _save_processor(directory, "Qwen3VL", "Qwen3VLVideoProcessor", patch_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)


def write_qwen2_5_vl(directory: Path) -> None:
    """Write a checkpoint of Qwen2.5-VL's architecture."""
    tokens = _tokenizer()
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 4, 4]}
    vision = {
        **_vision(),
        "out_hidden_size": WIDTH,
        "patch_size": 14,
        "fullatt_block_indexes": [1],
        "window_size": 112,
    }
    config = Qwen2_5_VLConfig(
        text_config={**_text(tokens), "rope_parameters": rope}, vision_config=vision, **_ids(tokens)
    )
    torch.manual_seed(SEED)
    _save(directory, Qwen2_5_VLForConditionalGeneration(config), tokens)
    _save_processor(
        directory,
        "Qwen2_5_VL",
        "Qwen2VLVideoProcessor",
        patch_size=14,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    pairs = Tokenizer(tokenizer_models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, special_tokens=list(SPECIAL), show_progress=False
    )
    pairs.train_from_iterator(TEXTS * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=pairs,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        model_max_length=MAX_TOKENS,
        chat_template=CHAT_TEMPLATE,
        extra_special_tokens=VISION,
    )


def _text(tokens: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokens),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": NUM_HEADS,
        "num_key_value_heads": NUM_HEADS,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": None,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }


def _vision() -> dict[str, Any]:
    return {"depth": 3, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_heads": NUM_HEADS}


def _ids(tokens: PreTrainedTokenizerFast) -> dict[str, int]:
    return {f"{name}_id": tokens.convert_tokens_to_ids(token) for name, token in VISION.items()}


def _save(directory: Path, network: PreTrainedModel, tokens: PreTrainedTokenizerFast) -> None:
    network.generation_config.eos_token_id = tokens.eos_token_id
    network.generation_config.pad_token_id = tokens.pad_token_id
    network.save_pretrained(directory)
    tokens.save_pretrained(directory)


def _save_processor(
    directory: Path,
    architecture: str,
    video_processor: str,
    *,
    patch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """Write what turns pictures into patches, as the published checkpoints have it, as files: transformers makes the
    video processor's only where there is torchvision.
    """
    side = 2 * patch_size
    common: Mapping[str, Any] = {
        "processor_class": f"{architecture}Processor",
        "size": {"shortest_edge": 4 * side**2, "longest_edge": 64 * side**2},
        "patch_size": patch_size,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": mean,
        "image_std": std,
    }
    image = {**common, "image_processor_type": "Qwen2VLImageProcessorFast"}
    video = {**common, "video_processor_type": video_processor}
    (directory / "preprocessor_config.json").write_text(json.dumps(image, indent=2))
    (directory / "video_preprocessor_config.json").write_text(json.dumps(video, indent=2))
