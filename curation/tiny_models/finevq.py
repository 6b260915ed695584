"""A tiny random FineVQ, made in FineVQ's environment by `python -m curation.tiny_models.finevq --code DIR --out DIR`.

FineVQ's code fixes some widths: the language model's at 4096, because the motion's features and the head of the score
have it, and SlowFast as a whole. The rest is as small as it can be: one layer each, a vocabulary of a few hundred
tokens; about 150 M parameters, 300 MB in 16 bits. The head's last bias is half of the scale: random weights give
scores that differ by video, and not the 0 in which the head's rectifier ends.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.servers.finevq import ANSWER, TEMPLATE, FineVqCode

PROMPT = "How would you rate the overall quality of this video?"
WIDTH = 4096
VIT_WIDTH = 32
SIDE_PX = 448
VOCABULARY = 300
SEED = 0
MIDDLE_OF_SCALE = 50.0


def write(code: FineVqCode, out: Path) -> None:
    """Write configuration, tokenizer and weights into a directory."""
    import torch  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(code, out)
    # The configuration's class reads this file from the working directory.
    (out / "config.json").write_text(json.dumps(_config(len(tokenizer)), indent=2))
    os.chdir(out)
    torch.manual_seed(SEED)
    network = code.network(code.config(**_config(len(tokenizer))))
    with torch.no_grad():
        head = network.mlpscore
        for layer in (head.fc1, head.fc2, head.fc3, head.fc4, head.fc5):
            torch.nn.init.kaiming_normal_(layer.weight)
        head.fc5.bias.fill_(MIDDLE_OF_SCALE)
    network.to(torch.bfloat16).save_pretrained(str(out))


def _tokenizer(code: FineVqCode, out: Path) -> Any:
    """A tokenizer of FineVQ's class, trained on the little that it will read, any byte a token where need be."""
    import sentencepiece  # noqa: PLC0415

    texts = [PROMPT, ANSWER, "Frame1: Motion Feature: ", code.data.get_conv_template(TEMPLATE).system_message]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 20), model_prefix=str(out / "tokenizer"), vocab_size=VOCABULARY + 80,
        model_type="bpe", byte_fallback=True, bos_id=1, eos_id=2, unk_id=0, pad_id=-1, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    (out / "tokenizer.vocab").unlink()
    tokenizer = code.tokenizer(str(out / "tokenizer.model"), add_eos_token=False, pad_token="</s>")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>", *code.tokens], special_tokens=True)
    tokenizer.save_pretrained(str(out))
    return tokenizer


def _config(vocabulary: int) -> dict[str, Any]:
    """FineVQ's configuration with few and small layers."""
    language = {
        "architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "vocab_size": vocabulary,
        "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 32,
        "num_key_value_heads": 1, "bias": False, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5,
        "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "tie_word_embeddings": False,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }  # fmt: skip
    vision = {
        "architectures": ["InternVisionModel"], "model_type": "intern_vit_6b", "hidden_size": VIT_WIDTH,
        "intermediate_size": VIT_WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIDE_PX,
        "patch_size": 14, "qkv_bias": True, "qk_normalization": False, "norm_type": "layer_norm",
    }  # fmt: skip
    return {
        "architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "llm_config": language,
        "vision_config": vision, "force_image_size": SIDE_PX, "downsample_ratio": 0.5, "template": TEMPLATE,
        "select_layer": -1, "ps_version": "v2", "dynamic_image_size": True, "use_thumbnail": True,
        "use_backbone_lora": 0, "use_llm_lora": 0, "torch_dtype": "bfloat16",
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Write it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m curation.tiny_models.finevq", description="Make a tiny FineVQ.")
    parser.add_argument("--code", type=Path, required=True, help="checkout of github.com/IntMeGroup/FineVQ")
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    write(FineVqCode(options.code.resolve()), out)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
