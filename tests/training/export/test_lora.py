"""The difference of two networks as a LoRA: with it, by diffusers and by ComfyUI's rules, the one is the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from infra.config import ConfigError
from model import SoulTransformer3DModel
from model.weights.wan_export import wan_state_dict
from model.weights.wan_names import to_diffusers
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.networks import AUDIO, WAN, backbone_of, random_inputs, random_wan
from tests.worlds.recipes import train
from tests.worlds.small_model import make_small_model
from training.__main__ import main
from training.export.lora import LeftOut, LoraLayer, decompose, difference
from training.export.lora_files import AUDIO_FILE, COMFYUI_FILE, DIFFUSERS_FILE, write_lora
from training.weight_files import weights_of

FULL = 96
"""At least the smaller side of every layer of the networks of these tests."""
CPU = torch.device("cpu")


def moved(soul: SoulTransformer3DModel) -> SoulTransformer3DModel:
    """A copy with other linear layers, everything else the same."""
    copy: SoulTransformer3DModel = SoulTransformer3DModel(**WAN, **AUDIO).eval()
    copy.load_state_dict(soul.state_dict())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in copy.modules():
            if isinstance(layer, nn.Linear):
                for parameter in layer.parameters():
                    parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return copy


@pytest.fixture(scope="module")
def networks() -> tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel]:
    """Wan's network, Soul's with the same weights, and that one trained."""
    torch.manual_seed(0)
    wan = random_wan()
    soul = backbone_of(wan)
    return wan, soul, moved(soul)


def lora_of(
    trained: nn.Module, base: nn.Module, rank: int, *, audio: bool = False
) -> tuple[list[LoraLayer], list[LeftOut]]:
    weights = [weights_of(network.state_dict()) for network in (trained, base)]
    found = list(difference(*weights, rank=rank, audio=audio, device=CPU))
    layers = [each for each in found if isinstance(each, LoraLayer)]
    return layers, [each for each in found if isinstance(each, LeftOut)]


def pipeline_of(wan: WanTransformer3DModel) -> WanPipeline:
    copy = WanTransformer3DModel(**WAN).eval()
    copy.load_state_dict(wan.state_dict())
    parts = {"tokenizer": None, "text_encoder": None, "vae": None, "scheduler": FlowMatchEulerDiscreteScheduler()}
    return WanPipeline(transformer=copy, **parts)


def wan_like(soul: SoulTransformer3DModel) -> WanTransformer3DModel:
    """Wan's network with the weights that a trained one shares with it."""
    wan = WanTransformer3DModel(**WAN).eval()
    wan.load_state_dict({to_diffusers(name): each for name, each in wan_state_dict(soul, "official").items()})
    return wan


@torch.no_grad()
def output(wan: nn.Module) -> Tensor:
    torch.manual_seed(3)
    given = random_inputs()
    names = ("hidden_states", "timestep", "encoder_hidden_states")
    inputs = {name: given[name] for name in names}
    inputs["timestep"] = inputs["timestep"][:, -1] if inputs["timestep"].ndim > 1 else inputs["timestep"]
    made: Tensor = wan(**inputs, return_dict=False)[0]
    return made


@pytest.mark.parametrize("file", [DIFFUSERS_FILE, COMFYUI_FILE])
def test_diffusers_loads_a_full_rank_as_the_trained_network(
    file: str,
    networks: tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel],
    tmp_path: Path,
) -> None:
    wan, soul, trained = networks
    write_lora(tmp_path, lora_of(trained, soul, FULL)[0], torch.float32, {})
    pipeline = pipeline_of(wan)
    pipeline.load_lora_weights(str(tmp_path), weight_name=file)
    expected, before = output(wan_like(trained)), output(wan)
    error = (output(pipeline.transformer) - expected).abs().max()
    assert error < 1e-4 * (before - expected).abs().max()


def test_diffusers_loads_a_low_rank_as_the_base_and_the_products(
    networks: tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel], tmp_path: Path
) -> None:
    wan, soul, trained = networks
    layers, _ = lora_of(trained, soul, 4)
    write_lora(tmp_path, layers, torch.float32, {})
    expected = pipeline_of(wan).transformer
    with torch.no_grad():
        for layer in layers:
            linear = expected.get_submodule(layer.name)
            linear.weight += layer.up @ layer.down
            assert layer.bias is not None
            linear.bias += layer.bias
    pipeline = pipeline_of(wan)
    pipeline.load_lora_weights(str(tmp_path))
    torch.testing.assert_close(output(pipeline.transformer), output(expected), rtol=1e-4, atol=1e-5)
    assert (output(expected) - output(wan_like(trained))).abs().max() > 1e-3, "this rank does not keep all"


def by_comfyuis_rules(weights: dict[str, Tensor], lora: dict[str, Tensor]) -> dict[str, Tensor]:
    """What ComfyUI makes of a model's weights.

    It looks under the name of each weight, without its ending, for `lora_up` and `lora_down`, whose product it
    multiplies by alpha / rank (by 1 without an alpha), and for `diff_b` of the bias. It loads no other key.
    """
    patched, loaded = dict(weights), set()
    for name, weight in weights.items():
        key = f"diffusion_model.{name.removesuffix('.weight')}"
        if name.endswith(".weight") and f"{key}.lora_up.weight" in lora:
            up, down = lora[f"{key}.lora_up.weight"], lora[f"{key}.lora_down.weight"]
            alpha = lora.get(f"{key}.alpha")
            scale = 1.0 if alpha is None else alpha.item() / down.shape[0]
            patched[name] = weight + scale * (up @ down).reshape(weight.shape)
            loaded |= {f"{key}.{part}" for part in ("lora_up.weight", "lora_down.weight", "alpha")}
            bias = name.replace(".weight", ".bias")
            patched[bias] = weights[bias] + lora[f"{key}.diff_b"]
            loaded.add(f"{key}.diff_b")
    assert not lora.keys() - loaded, "keys that ComfyUI would not load"
    return patched


def test_by_comfyuis_rules_a_full_rank_is_the_trained_network(
    networks: tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel], tmp_path: Path
) -> None:
    _, soul, trained = networks
    write_lora(tmp_path, lora_of(trained, soul, FULL)[0], torch.float32, {})
    lora = load_file(tmp_path / COMFYUI_FILE)
    assert "diffusion_model.blocks.0.self_attn.q.lora_down.weight" in lora
    assert lora["diffusion_model.blocks.1.ffn.2.alpha"] == FULL
    patched = by_comfyuis_rules(wan_state_dict(soul, "official"), lora)
    expected = wan_state_dict(trained, "official")
    for name, weight in patched.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)


def test_with_the_audio_layers_our_network_becomes_the_trained_one(
    networks: tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel], tmp_path: Path
) -> None:
    _, soul, trained = networks
    layers, left_out = lora_of(trained, soul, FULL, audio=True)
    assert not left_out
    write_lora(tmp_path, layers, torch.float32, {})
    copy = SoulTransformer3DModel(**WAN, **AUDIO).eval()
    copy.load_state_dict(soul.state_dict())
    for file in (DIFFUSERS_FILE, AUDIO_FILE):
        copy.load_lora_adapter(load_file(tmp_path / file), prefix="transformer", adapter_name=file.partition(".")[0])
    copy.set_adapters([file.partition(".")[0] for file in (DIFFUSERS_FILE, AUDIO_FILE)])
    inputs = random_inputs()
    with torch.no_grad():
        made, expected, before = (network(**inputs, return_dict=False)[0] for network in (copy, trained, soul))
    assert (made - expected).abs().max() < 1e-4 * (before - expected).abs().max()


def test_what_a_rank_keeps_and_what_is_left_out(
    networks: tuple[WanTransformer3DModel, SoulTransformer3DModel, SoulTransformer3DModel],
) -> None:
    _, soul, trained = networks
    layers, left_out = lora_of(trained, soul, 16)
    for layer in layers:
        delta = (trained.get_submodule(layer.name).weight - soul.get_submodule(layer.name).weight).detach()
        values = torch.linalg.svdvals(delta)
        assert layer.energy == pytest.approx(float(delta.square().sum()), rel=1e-4)
        assert layer.kept == pytest.approx(float(values[:16].square().sum() / values.square().sum()), abs=1e-4)
        assert (layer.down.shape[0], layer.up.shape[1]) == (16, 16)
    assert {part for each in left_out for part in each.name.split(".")} & {"attn_audio", "audio_embedder"}
    assert all("audio" in each.name for each in left_out)


def test_a_search_at_random_finds_what_an_exact_one_does() -> None:
    generator = torch.Generator().manual_seed(0)
    # Singular values that fall as those of a training's difference do: slowly.
    left, _ = torch.linalg.qr(torch.randn(300, 300, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(400, 300, generator=generator))
    values = torch.arange(1, 301).pow(-0.7)
    matrix = (left * values) @ right.T
    down, up = decompose(matrix, 16)
    best = float(values[16:].square().sum())
    assert float((matrix - up @ down).square().sum()) == pytest.approx(best, rel=0.01)
    assert torch.equal(decompose(matrix, 16)[0], down), "the same each time"


def test_networks_that_differ_in_their_parameters_are_refused() -> None:
    one, other = nn.Linear(4, 5), nn.Linear(4, 6)
    with pytest.raises(ConfigError, match=r"'bias' is \(5,\), in the base \(6,\)"):
        lora_of(one, other, 2)
    with pytest.raises(ConfigError, match=r"only the trained network has '0\.bias'"):
        lora_of(nn.Sequential(one), nn.Sequential(nn.Linear(4, 5, bias=False)), 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lora")
    make_encoded_run(made, shards=((SampleSpec(),) * 6,))
    make_small_model(made / "small")
    train(made, initial=made / "small", steps=3)
    return made


def test_of_a_checkpoint_and_of_its_result_it_is_the_same(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--lora", "4", "--audio", "--dtype", "float32"]
    assert main([*words, "--checkpoint", str(run / "train/720p"), "--out", str(tmp_path / "one")]) == 0
    said = capsys.readouterr().out
    assert "rank 4 keeps" in said
    assert "of the difference of all linear layers" in said
    assert "left out: modulation (scale_shift_table) (" in said
    assert "left out: norms (" in said
    assert not any("audio layers" in line and "norm" not in line for line in said.splitlines())
    model, base = str(run / "model"), str(run / "small")
    assert main([*words, "--model", model, "--base", base, "--out", str(tmp_path / "two")]) == 0
    for file in (DIFFUSERS_FILE, COMFYUI_FILE, AUDIO_FILE):
        one, two = (load_file(tmp_path / folder / file) for folder in ("one", "two"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    with safe_open(tmp_path / "one" / DIFFUSERS_FILE, framework="pt") as opened:
        assert opened.metadata()["rank"] == "4"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--lora", "4", "--model", "{run}/model"], "--lora takes --checkpoint, or the trained --model and its --base"),
        (["--lora", "0", "--checkpoint", "{run}/train/720p"], "a rank of at least 1"),
        (["--lora", "4", "--model", "{run}/small", "--base", "{run}/small"], "there is nothing to write"),
        (["--lora", "4", "--model", "{run}/model", "--base", "{run}"], "has no transformer/"),
        (["--checkpoint", "{run}/train/720p", "--base", "{run}/small"], "--base and --audio go with --lora"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--out", str(tmp_path / "out"), *(word.format(run=run) for word in words)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
