from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from curation.tiny_models.qwen_vl import write_qwen2_5_vl, write_qwen3_vl


@pytest.mark.parametrize(
    ("write", "architecture"),
    [
        (write_qwen3_vl, "Qwen3VLForConditionalGeneration"),
        (write_qwen2_5_vl, "Qwen2_5_VLForConditionalGeneration"),
    ],
)
def test_transformers_loads_network_tokenizer_and_picture_processor(
    tmp_path: Path, write: Callable[[Path], None], architecture: str
) -> None:
    write(tmp_path)
    network = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(network).__name__ == architecture
    tokens = AutoTokenizer.from_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert network.config.vision_config.patch_size == processor.patch_size
    said = json.dumps({"camera": "ßtatic\n"}, ensure_ascii=False)
    assert tokens.decode(tokens.encode(said)) == said
    question = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What moves?"}]}
    prompt = tokens.apply_chat_template([question], tokenize=False, add_generation_prompt=True)
    assert prompt == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>What moves?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokens.convert_tokens_to_ids("<|video_pad|>") == network.config.video_token_id
