import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from huggingface_hub import save_torch_state_dict
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import SoulTransformer3DModel
from model.weights import files as weights
from model.weights.wan_checkpoints import check_wan, convert_wan, load_wan
from model.weights.wan_export import export_wan
from model.weights.wan_names import Layout, to_diffusers, to_official
from tests.worlds.fresh_process import answer_of
from tests.worlds.networks import AUDIO, WAN, blocks_of, random_inputs, random_soul, random_wan

DIM = WAN["num_attention_heads"] * WAN["attention_head_dim"]
WEIGHTS = "diffusion_pytorch_model"


def official_state_dict() -> dict[str, Tensor]:
    """Random weights with every key of the Wan2.2-TI2V-5B release, at a small size."""
    ffn, text, freq, channels = WAN["ffn_dim"], WAN["text_dim"], WAN["freq_dim"], WAN["in_channels"]
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (DIM, channels, 1, 2, 2),
        "patch_embedding.bias": (DIM,),
        "text_embedding.0.weight": (DIM, text),
        "text_embedding.0.bias": (DIM,),
        "text_embedding.2.weight": (DIM, DIM),
        "text_embedding.2.bias": (DIM,),
        "time_embedding.0.weight": (DIM, freq),
        "time_embedding.0.bias": (DIM,),
        "time_embedding.2.weight": (DIM, DIM),
        "time_embedding.2.bias": (DIM,),
        "time_projection.1.weight": (6 * DIM, DIM),
        "time_projection.1.bias": (6 * DIM,),
        "head.head.weight": (4 * channels, DIM),
        "head.head.bias": (4 * channels,),
        "head.modulation": (1, 2, DIM),
    }
    for layer in range(WAN["num_layers"]):
        block = f"blocks.{layer}"
        shapes[f"{block}.modulation"] = (1, 6, DIM)
        for attention in ("self_attn", "cross_attn"):
            for projection in "qkvo":
                shapes[f"{block}.{attention}.{projection}.weight"] = (DIM, DIM)
                shapes[f"{block}.{attention}.{projection}.bias"] = (DIM,)
            shapes[f"{block}.{attention}.norm_q.weight"] = (DIM,)
            shapes[f"{block}.{attention}.norm_k.weight"] = (DIM,)
        shapes[f"{block}.norm3.weight"] = shapes[f"{block}.norm3.bias"] = (DIM,)
        shapes[f"{block}.ffn.0.weight"], shapes[f"{block}.ffn.0.bias"] = (ffn, DIM), (ffn,)
        shapes[f"{block}.ffn.2.weight"], shapes[f"{block}.ffn.2.bias"] = (DIM, ffn), (DIM,)
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def write_official(folder: Path, state_dict: dict[str, Tensor], *, max_shard_size: str = "1GB") -> Path:
    """Write a checkpoint with the config.json of the release."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{WEIGHTS}{{suffix}}.safetensors"
    save_torch_state_dict(state_dict, folder, filename_pattern=pattern, max_shard_size=max_shard_size)
    config = {
        "_class_name": "WanModel",
        "_diffusers_version": "0.33.0",
        "dim": DIM,
        "eps": 1e-06,
        "ffn_dim": WAN["ffn_dim"],
        "freq_dim": WAN["freq_dim"],
        "in_dim": WAN["in_channels"],
        "model_type": "ti2v",
        "num_heads": WAN["num_attention_heads"],
        "num_layers": WAN["num_layers"],
        "out_dim": WAN["out_channels"],
        "text_len": 512,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def from_wan(source: Any, **changes: Any) -> SoulTransformer3DModel:
    soul: SoulTransformer3DModel = load_wan(source, **{**AUDIO, **changes}).eval()
    return soul


def read_weights(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        weights |= load_file(file)
    return weights


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(actual[key], tensor), key


@pytest.mark.parametrize("max_shard_size", ["1GB", "50KB"])
def test_official_to_soul_to_official_is_bit_exact(tmp_path: Path, max_shard_size: str) -> None:
    released = official_state_dict()
    source = write_official(tmp_path / "release", released, max_shard_size=max_shard_size)
    assert (len(list(source.glob("*.safetensors"))) > 1) is (max_shard_size == "50KB")
    soul = from_wan(source)
    export_wan(soul, tmp_path / "again", layout="official", max_shard_size=max_shard_size)
    assert_same(read_weights(tmp_path / "again"), released)
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config == {
        key: value
        for key, value in json.loads((source / "config.json").read_text()).items()
        if key != "_diffusers_version"
    }


@torch.no_grad()
def test_official_and_diffusers_layouts_and_model_give_the_same_network(tmp_path: Path) -> None:
    released = official_state_dict()
    in_wan = WanTransformer3DModel(**WAN)
    in_wan.load_state_dict({to_diffusers(key): tensor for key, tensor in released.items()})
    in_wan.save_pretrained(tmp_path / "pipeline" / "transformer", max_shard_size="50KB")
    inputs = random_inputs()
    inputs.pop("audio_embeds")
    per_token = inputs | {"timestep": inputs["timestep"].repeat_interleave(8, dim=1)}
    expected = in_wan.eval()(**per_token).sample
    sources = [
        in_wan,
        write_official(tmp_path / "official", released),
        tmp_path / "pipeline",
        tmp_path / "pipeline" / "transformer",
    ]
    for source in sources:
        sample = from_wan(source, zero_audio_output=True)(**inputs).sample
        torch.testing.assert_close(sample, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_diffusers_loads_what_is_exported(tmp_path: Path) -> None:
    wan_model = random_wan()
    export_wan(from_wan(wan_model), tmp_path, layout="diffusers")
    loaded = WanTransformer3DModel.from_pretrained(tmp_path)
    assert_same(loaded.state_dict(), wan_model.state_dict())
    names = set(wan_model.config) - {
        "_name_or_path",
        "_use_default_values",
        "patch_size",
        "pos_embed_seq_len",
    }
    assert {name: loaded.config[name] for name in names} == {name: wan_model.config[name] for name in names}


@pytest.mark.parametrize("zero_audio_output", [False, True])
def test_audio_attention_starts_as_the_text_attention(zero_audio_output: bool) -> None:
    soul = from_wan(random_wan(), zero_audio_output=zero_audio_output)
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in soul.parameters())
    for block in blocks_of(soul):
        text, audio = block.attn2.state_dict(), block.attn_audio.state_dict()
        silent = {name for name, tensor in audio.items() if not tensor.any()}
        assert silent == ({"to_out.0.weight", "to_out.0.bias"} if zero_audio_output else set())
        assert_same({name: audio[name] for name in audio.keys() - silent}, {n: text[n] for n in text.keys() - silent})
        assert_same(block.norm_audio.state_dict(), block.norm2.state_dict())


@torch.no_grad()
def test_copies_share_no_memory() -> None:
    wan_model = random_wan()
    soul = from_wan(wan_model)
    before = soul.state_dict()["blocks.0.attn_audio.to_q.weight"].clone()
    for parameter in wan_model.parameters():
        parameter.zero_()
    blocks_of(soul)[0].attn2.to_q.weight.zero_()
    assert soul.state_dict()["patch_embedding.weight"].any()
    assert torch.equal(blocks_of(soul)[0].attn_audio.to_q.weight, before)


def test_audio_embedder_is_drawn_from_the_global_generator() -> None:
    wan_model = random_wan()
    torch.manual_seed(7)
    first = from_wan(wan_model).audio_embedder.state_dict()
    torch.manual_seed(7)
    assert_same(from_wan(wan_model).audio_embedder.state_dict(), first)
    assert first["proj.weight"].std() > 0.1
    assert torch.equal(first["norm.weight"], torch.ones(DIM))
    assert not first["position"].any()


def test_bf16_keeps_modulation_and_norms_in_fp32() -> None:
    soul = from_wan(random_wan(), torch_dtype=torch.bfloat16)
    types = {name: parameter.dtype for name, parameter in soul.named_parameters()}
    in_fp32 = {name for name, dtype in types.items() if dtype == torch.float32}
    assert {
        "condition_embedder.time_proj.weight",
        "blocks.0.scale_shift_table",
        "blocks.0.norm_audio.bias",
    } <= in_fp32
    for name in (
        "blocks.0.attn_audio.to_q.weight",
        "blocks.0.attn1.norm_q.weight",
        "audio_embedder.proj.weight",
    ):
        assert types[name] == torch.bfloat16


def test_every_key_translates_there_and_back() -> None:
    keys = official_state_dict().keys()
    soul_keys = {key for key in random_soul().state_dict() if "audio" not in key}
    assert {to_diffusers(key) for key in keys} == soul_keys
    assert {to_official(to_diffusers(key)) for key in keys} == keys


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def growth_of_loading(folder: str) -> int:
    """What loading adds to this process's memory at its peak."""
    before = peak_bytes()
    soul = load_wan(folder, audio_dim=10, audio_window=12)
    assert not any(parameter.is_meta for parameter in soul.parameters())
    return peak_bytes() - before


def growth_of_converting(folder: str) -> int:
    """What converting adds to it."""
    before = peak_bytes()
    convert_wan(folder, f"{folder}/soul", audio_dim=10, audio_window=12, max_shard_bytes=10**7)
    return peak_bytes() - before


def test_memory_holds_the_weights_once_and_in_converting_a_file_of_them(tmp_path: Path) -> None:
    """In a fresh process, with hundreds of megabytes of weights."""
    big = {**WAN, "attention_head_dim": 256, "ffn_dim": 2048, "num_layers": 2}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in WanTransformer3DModel(**big).state_dict().items()}
        soul = SoulTransformer3DModel(**big, audio_dim=10, audio_window=12)
    size: int = sum(parameter.nbytes for parameter in soul.parameters())
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / f"{WEIGHTS}.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(big))
    assert 0.9 < answer_of(growth_of_loading, str(tmp_path)) / size < 1.3
    assert answer_of(growth_of_converting, str(tmp_path)) / size < 0.9
    assert len(list((tmp_path / "soul").glob("*.safetensors"))) > 10


def write_weights(folder: Path, changes: dict[str, Tensor | None]) -> None:
    """Replace tensors of an official checkpoint; None removes one."""
    tensors = load_file(folder / f"{WEIGHTS}.safetensors") | changes
    save_file({key: value for key, value in tensors.items() if value is not None}, folder / f"{WEIGHTS}.safetensors")


def truncate(folder: Path) -> None:
    weights = folder / f"{WEIGHTS}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def point_to_missing_shard(folder: Path) -> None:
    index = {"weight_map": {"head.head.weight": f"{WEIGHTS}-00001-of-00001.safetensors"}}
    (folder / f"{WEIGHTS}.safetensors.index.json").write_text(json.dumps(index))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "bad config": lambda folder: (folder / "config.json").write_text("{"),
    "no heads": lambda folder: (folder / "config.json").write_text("{}"),
    "no weights": lambda folder: (folder / f"{WEIGHTS}.safetensors").unlink(),
    "truncated": truncate,
    "missing key": lambda folder: write_weights(folder, {"blocks.1.cross_attn.o.bias": None}),
    "unknown key": lambda folder: write_weights(folder, {"img_emb.proj.0.weight": torch.zeros(1)}),
    "wrong shape": lambda folder: write_weights(folder, {"blocks.1.ffn.0.bias": torch.zeros(3)}),
    "another model": lambda folder: write_weights(folder, {"head.head.weight": None}),
    "missing shard": point_to_missing_shard,
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "config.json: no such file"),
        ("bad config", "config.json: not JSON"),
        ("no heads", "config.json has neither 'num_attention_heads' nor 'num_heads'"),
        ("no weights", f"{WEIGHTS}.safetensors: no such file"),
        ("truncated", f"{WEIGHTS}.safetensors: not a whole safetensors file"),
        ("missing key", "missing key 'blocks.1.attn2.to_out.0.bias'"),
        ("unknown key", "unknown key 'img_emb.proj.0.weight'"),
        ("wrong shape", r"'blocks.1.ffn.net.0.proj.bias' has shape \(3,\), expected \(64,\)"),
        ("another model", "not a Wan checkpoint"),
        ("missing shard", f"{WEIGHTS}-00001-of-00001.safetensors: no such file"),
        ("no folder", "no such directory"),
    ],
)
def test_broken_checkpoints_get_one_clear_line(tmp_path: Path, how: str, message: str) -> None:
    folder = write_official(tmp_path / "release", official_state_dict())
    DAMAGES[how](folder)
    with pytest.raises(ValueError, match=message) as caught:
        from_wan(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    with pytest.raises(ValueError, match=message):
        check_wan(folder)


def test_image_conditioned_models_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the model: unknown key 'blocks.0.attn2.add_k_proj.bias'"):
        from_wan(random_wan(image_dim=16, added_kv_proj_dim=DIM))


@pytest.mark.parametrize("layout", ["official", "diffusers"])
def test_hub_ids_download_only_the_transformer(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "snapshot"
    folder = snapshot / "transformer" if layout == "diffusers" else snapshot
    export_wan(from_wan(random_wan()), folder, layout=layout)
    asked: list[tuple[str, list[str]]] = []

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        asked.append((repo_id, allow_patterns))
        return str(snapshot)

    monkeypatch.setattr(weights, "snapshot_download", download)
    assert from_wan("Wan-AI/Wan2.2-TI2V-5B").config.num_layers == WAN["num_layers"]
    assert asked == [("Wan-AI/Wan2.2-TI2V-5B", ["config.json", f"{WEIGHTS}*", "transformer/*"])]


def test_an_unreachable_hub_gets_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        raise LocalEntryNotFoundError("Cannot reach the Hub.\nSecond line.")

    monkeypatch.setattr(weights, "snapshot_download", download)
    with pytest.raises(ValueError, match=r"^no/such: neither a directory nor .* Cannot reach the Hub\.$"):
        from_wan("no/such")
