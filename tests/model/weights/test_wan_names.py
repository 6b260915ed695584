"""Wan2.2's two layouts name the same weights."""

import pytest

from model.weights.wan_names import config_of, detect_layout, stored_config, to_diffusers, to_official

PAIRS = {
    "patch_embedding.weight": "patch_embedding.weight",
    "text_embedding.0.bias": "condition_embedder.text_embedder.linear_1.bias",
    "text_embedding.2.weight": "condition_embedder.text_embedder.linear_2.weight",
    "time_embedding.2.weight": "condition_embedder.time_embedder.linear_2.weight",
    "time_projection.1.weight": "condition_embedder.time_proj.weight",
    "head.head.weight": "proj_out.weight",
    "head.modulation": "scale_shift_table",
    "blocks.17.modulation": "blocks.17.scale_shift_table",
    "blocks.3.norm3.bias": "blocks.3.norm2.bias",
    "blocks.3.self_attn.q.weight": "blocks.3.attn1.to_q.weight",
    "blocks.3.self_attn.norm_k.weight": "blocks.3.attn1.norm_k.weight",
    "blocks.3.cross_attn.o.bias": "blocks.3.attn2.to_out.0.bias",
    "blocks.29.ffn.0.weight": "blocks.29.ffn.net.0.proj.weight",
    "blocks.29.ffn.2.weight": "blocks.29.ffn.net.2.weight",
}


@pytest.mark.parametrize(("official", "diffusers"), PAIRS.items())
def test_names_go_there_and_back(official: str, diffusers: str) -> None:
    assert to_diffusers(official) == diffusers
    assert to_official(diffusers) == official


@pytest.mark.parametrize(
    "key", ["img_emb.proj.weight", "blocks.0.attn_audio.to_q.weight", "blocks.0.modulation.bias.x"]
)
def test_other_names_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="unknown key"):
        to_diffusers(key)


def test_layouts_are_told_by_the_output_layer() -> None:
    assert detect_layout(["a", "head.head.weight"]) == "official"
    assert detect_layout(["proj_out.weight", "b"]) == "diffusers"
    with pytest.raises(ValueError, match="not a Wan checkpoint"):
        detect_layout(["head.weight"])


SHAPES = {
    "patch_embedding.weight": (3072, 48, 1, 2, 2),
    "proj_out.weight": (192, 3072),
    "condition_embedder.text_embedder.linear_1.weight": (3072, 4096),
    "condition_embedder.time_embedder.linear_1.weight": (3072, 256),
    "blocks.0.ffn.net.0.proj.weight": (14336, 3072),
    "blocks.0.norm2.weight": (3072,),
    "blocks.29.norm2.weight": (3072,),
}


@pytest.mark.parametrize("stored", [{"num_heads": 24, "eps": 1e-6}, {"num_attention_heads": 24}])
def test_sizes_are_read_from_the_weights(stored: dict[str, float]) -> None:
    assert config_of(SHAPES, stored) == {
        "patch_size": (1, 2, 2), "num_attention_heads": 24, "attention_head_dim": 128, "in_channels": 48,
        "out_channels": 48, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 14336, "num_layers": 30,
        "cross_attn_norm": True, "eps": 1e-6, "rope_max_seq_len": 1024,
    }  # fmt: skip


def test_what_the_weights_or_the_configuration_lack_is_named() -> None:
    with pytest.raises(ValueError, match="neither 'num_attention_heads' nor 'num_heads'"):
        config_of(SHAPES, {})
    for key in list(SHAPES)[:5]:
        with pytest.raises(ValueError, match=f"missing key '{key}'"):
            config_of({name: shape for name, shape in SHAPES.items() if name != key}, {"num_heads": 24})


def test_what_is_stored_is_read_again() -> None:
    config = {**config_of(SHAPES, {"num_heads": 24}), "qk_norm": "rms_norm_across_heads"}
    assert config_of(SHAPES, stored_config(config, "official")) == config_of(SHAPES, {"num_heads": 24})
    assert stored_config(config, "official")["dim"] == 3072
    assert stored_config(config, "diffusers")["num_layers"] == 30
