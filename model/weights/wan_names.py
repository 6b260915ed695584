"""Names of Wan2.2's parameters: the official release's, and diffusers', which Soul uses too."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

Layout = Literal["official", "diffusers"]

AUDIO_MODULES: Final = frozenset({"audio_embedder", "attn_audio", "norm_audio"})
"""Parts of the network that Wan2.2 does not have."""

_MODULES = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}

_ATTENTION = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0", "norm_q": "norm_q", "norm_k": "norm_k"}

_BLOCK_MODULES = {
    "modulation": "scale_shift_table",
    # The affine norm before the text attention; the two others have no parameters.
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    **{f"self_attn.{official}": f"attn1.{name}" for official, name in _ATTENTION.items()},
    **{f"cross_attn.{official}": f"attn2.{name}" for official, name in _ATTENTION.items()},
}

_KEY = re.compile(r"(?P<block>blocks\.\d+\.)?(?P<module>.+?)(?P<leaf>\.weight|\.bias)?")


def to_diffusers(official_key: str) -> str:
    """Translate a key of the official layout.

    Raises:
        ValueError: Wan2.2-TI2V has no such key.
    """
    return _translate(official_key, _MODULES, _BLOCK_MODULES)


def to_official(diffusers_key: str) -> str:
    """Translate a key of diffusers' layout.

    Raises:
        ValueError: Wan2.2-TI2V has no such key.
    """
    return _translate(diffusers_key, _inverse(_MODULES), _inverse(_BLOCK_MODULES))


def detect_layout(keys: Iterable[str]) -> Layout:
    """Tell the layout from the name of the output layer.

    Raises:
        ValueError: neither layout's name is there.
    """
    keys = set(keys)
    if "head.head.weight" in keys:
        return "official"
    if "proj_out.weight" in keys:
        return "diffusers"
    raise ValueError("not a Wan checkpoint: neither 'head.head.weight' nor 'proj_out.weight' is among its keys")


def config_of(shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Work out the network's configuration.

    The official config.json leaves out text width and patch size, so sizes are read from the weights.

    Args:
        shapes: by diffusers' names.
        stored: the checkpoint's config.json, of either layout; gives the heads and epsilon.

    Raises:
        ValueError: a weight or the number of heads is missing.
    """
    heads = stored.get("num_attention_heads", stored.get("num_heads"))
    if heads is None:
        raise ValueError("config.json has neither 'num_attention_heads' nor 'num_heads'")

    def shape(key: str) -> tuple[int, ...]:
        if key not in shapes:
            raise ValueError(f"missing key {key!r}")
        return shapes[key]

    dim, in_channels, *patch_size = shape("patch_embedding.weight")
    blocks = {int(key.split(".")[1]) for key in shapes if key.startswith("blocks.")}
    return {
        "patch_size": tuple(patch_size),
        "num_attention_heads": heads,
        "attention_head_dim": dim // heads,
        "in_channels": in_channels,
        "out_channels": shape("proj_out.weight")[0] // (patch_size[0] * patch_size[1] * patch_size[2]),
        "text_dim": shape("condition_embedder.text_embedder.linear_1.weight")[1],
        "freq_dim": shape("condition_embedder.time_embedder.linear_1.weight")[1],
        "ffn_dim": shape("blocks.0.ffn.net.0.proj.weight")[0],
        "num_layers": max(blocks) + 1,
        "cross_attn_norm": "blocks.0.norm2.weight" in shapes,
        "eps": stored.get("eps", 1e-6),
        "rope_max_seq_len": stored.get("rope_max_seq_len", 1024),
    }


def stored_config(config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Return what config.json of the given layout says about a network of this configuration."""
    if layout == "diffusers":
        names = [
            *(
                "num_attention_heads",
                "attention_head_dim",
                "in_channels",
                "out_channels",
                "text_dim",
                "freq_dim",
            ),
            *("ffn_dim", "num_layers", "cross_attn_norm", "qk_norm", "eps", "rope_max_seq_len"),
        ]
        same = {name: config[name] for name in names}
        return {
            "_class_name": "WanTransformer3DModel",
            "patch_size": list(config["patch_size"]),
            **same,
            "image_dim": None,
            "added_kv_proj_dim": None,
        }
    return {
        "_class_name": "WanModel",
        "dim": config["num_attention_heads"] * config["attention_head_dim"],
        "eps": config["eps"],
        "ffn_dim": config["ffn_dim"],
        "freq_dim": config["freq_dim"],
        "in_dim": config["in_channels"],
        "model_type": "ti2v",
        "num_heads": config["num_attention_heads"],
        "num_layers": config["num_layers"],
        "out_dim": config["out_channels"],
        "text_len": 512,
    }


def _translate(key: str, modules: Mapping[str, str], block_modules: Mapping[str, str]) -> str:
    match = cast("re.Match[str]", _KEY.fullmatch(key))
    block, module, leaf = match["block"] or "", match["module"], match["leaf"] or ""
    table = block_modules if block else modules
    if module not in table:
        raise ValueError(f"unknown key {key!r}")
    return f"{block}{table[module]}{leaf}"


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in table.items()}
