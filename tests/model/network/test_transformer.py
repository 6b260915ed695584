import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch import Tensor

from model import SoulTransformer3DModel
from model.pretrained.presets import PRESETS, TransformerConfig, build_transformer, transformer_config
from model.weights.wan_export import export_wan
from tests.worlds.networks import AUDIO, backbone_of, blocks_of, random_inputs, random_soul, random_wan, relative_error

SHAPES = [
    {"batch_size": 1, "frames": 1, "height": 4, "width": 4},
    {"batch_size": 2, "frames": 3, "height": 8, "width": 4},
    {"batch_size": 1, "frames": 5, "height": 6, "width": 10, "text": 20},
]


def wan_forward(wan: WanTransformer3DModel, inputs: dict[str, Tensor], *, per_token: bool) -> Tensor:
    """Run diffusers' model on the same timesteps, as one per sample or as Wan2.2 TI2V's one per token."""
    latents, timestep = inputs["hidden_states"], inputs["timestep"]
    tokens_per_frame = latents.shape[3] * latents.shape[4] // 4
    timestep = timestep.repeat_interleave(tokens_per_frame, dim=1) if per_token else timestep[:, 0]
    sample: Tensor = wan(latents, timestep, inputs["encoder_hidden_states"]).sample
    return sample


@pytest.mark.parametrize("clean_first_frame", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_equals_diffusers_wan_on_the_same_weights(shape: dict[str, int], clean_first_frame: bool) -> None:
    torch.manual_seed(0)
    wan = random_wan()
    inputs = random_inputs(**shape)
    if not clean_first_frame:
        inputs["timestep"] = torch.full_like(inputs["timestep"], 637.5)
    expected = wan_forward(wan, inputs, per_token=clean_first_frame)
    assert relative_error(backbone_of(wan)(**inputs).sample, expected) <= 1e-5


@torch.no_grad()
def test_bf16_is_as_close_to_fp32_as_diffusers_bf16() -> None:
    torch.manual_seed(0)
    wan = random_wan(num_layers=4)
    inputs = random_inputs(height=16, width=16)
    exact = wan_forward(wan, inputs, per_token=True)
    halved = {name: value if name == "timestep" else value.bfloat16() for name, value in inputs.items()}
    ours = backbone_of(wan).bfloat16()(**halved).sample
    theirs = wan_forward(wan.bfloat16(), halved, per_token=True)

    def error(sample: Tensor) -> float:
        return float((sample.float() - exact).norm() / exact.norm())

    assert ours.dtype == torch.float32
    assert error(ours) < 0.02
    assert error(ours) <= 1.1 * error(theirs)


@torch.no_grad()
def test_no_audio_is_zero_audio() -> None:
    soul, inputs = random_soul(), random_inputs()
    inputs["audio_embeds"].zero_()
    with_zeros = soul(**inputs).sample
    inputs.pop("audio_embeds")
    torch.testing.assert_close(soul(**inputs).sample, with_zeros, rtol=0, atol=0)


@torch.no_grad()
def test_audio_changes_the_output_and_its_order_within_a_window_matters() -> None:
    soul, inputs = random_soul(), random_inputs()
    sample = soul(**inputs).sample
    reversed_window = inputs | {"audio_embeds": inputs["audio_embeds"].flip(2)}
    silent = inputs | {"audio_embeds": torch.zeros_like(inputs["audio_embeds"])}
    assert relative_error(soul(**reversed_window).sample, sample) > 1e-3
    assert relative_error(soul(**silent).sample, sample) > 1e-3


@torch.no_grad()
def test_every_latent_frame_follows_its_own_timestep() -> None:
    """With attention silenced, a frame's output depends on its own timestep alone."""
    soul, inputs = random_soul(), random_inputs()
    for block in blocks_of(soul):
        for attention in (block.attn1, block.attn2, block.attn_audio):
            for parameter in attention.to_out.parameters():
                parameter.zero_()
    before = soul(**inputs).sample
    inputs["timestep"][:, 1] += 100
    changed = (soul(**inputs).sample - before).abs().amax(dim=(0, 1, 3, 4)) > 0
    assert changed.tolist() == [False, True, False]


def test_modulation_stays_fp32_under_bf16_weights_and_autocast() -> None:
    soul, inputs = random_soul(), random_inputs()
    text = inputs["encoder_hidden_states"]
    expected = soul.condition_embedder(inputs["timestep"], text)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = soul.condition_embedder(inputs["timestep"], text)
    torch.testing.assert_close(under_autocast[:2], expected[:2], rtol=0, atol=0)
    soul.bfloat16()
    halved = soul.condition_embedder(inputs["timestep"], text.bfloat16())
    assert [part.dtype for part in halved] == [torch.float32, torch.float32, torch.bfloat16]


def test_the_velocity_is_projected_in_fp32_under_bf16_weights_and_autocast() -> None:
    soul, inputs = random_soul(), random_inputs()
    seen: list[tuple[Tensor, Tensor]] = []
    soul.proj_out.register_forward_hook(lambda _layer, args, output: seen.append((args[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        soul(**inputs)
    soul.bfloat16()
    soul(**{name: value if name == "timestep" else value.bfloat16() for name, value in inputs.items()})
    weight, bias = soul.proj_out.weight.float(), soul.proj_out.bias.float()
    for tokens, velocity in seen:
        assert (tokens.dtype, velocity.dtype) == (torch.float32, torch.float32)
    tokens, velocity = seen[-1]
    torch.testing.assert_close(velocity, torch.nn.functional.linear(tokens, weight, bias), rtol=0, atol=0)


@torch.no_grad()
def test_an_fp32_residual_stream_is_closer_to_fp32_and_changes_nothing_in_fp32() -> None:
    soul, inputs = random_soul(num_layers=8), random_inputs(height=16, width=16)
    exact = soul(**inputs).sample
    streams: list[torch.dtype] = []
    blocks_of(soul)[-1].register_forward_hook(lambda _block, _args, output: streams.append(output.dtype))
    errors = {}
    for in_fp32 in (False, True):
        soul.register_to_config(residual_in_fp32=in_fp32)
        assert torch.equal(soul(**inputs).sample, exact)
        with torch.autocast("cpu", torch.bfloat16):
            errors[in_fp32] = relative_error(soul(**inputs).sample, exact)
    assert streams == [torch.float32, torch.bfloat16, torch.float32, torch.float32]
    assert errors[True] < 0.8 * errors[False]


@torch.no_grad()
def test_an_fp32_residual_stream_works_with_bf16_weights_and_is_kept_with_them(tmp_path: Path) -> None:
    soul, inputs = random_soul(residual_in_fp32=True), random_inputs()
    exact = soul(**inputs).sample
    soul.save_pretrained(tmp_path)
    halved = SoulTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert halved.config.residual_in_fp32
    sample = halved(
        **{name: value if name == "timestep" else value.bfloat16() for name, value in inputs.items()}
    ).sample
    assert relative_error(sample, exact) < 0.05


def test_trains_under_autocast() -> None:
    soul, inputs = random_soul(), random_inputs()
    exact = soul(**inputs).sample
    with torch.autocast("cpu", torch.bfloat16):
        sample = soul(**inputs).sample
    assert relative_error(sample, exact) < 0.05
    sample.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in soul.parameters())


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    soul, inputs = random_soul(), random_inputs()
    soul(**inputs).sample.square().mean().backward()
    expected = {name: parameter.grad.clone() for name, parameter in soul.named_parameters()}
    soul.zero_grad()
    soul.enable_gradient_checkpointing()
    calls: list[str] = []
    soul.blocks[0].register_forward_pre_hook(lambda *_: calls.append("forward"))
    soul(**inputs).sample.square().mean().backward()
    assert len(calls) == 2, "the block must run again in the backward pass"
    for name, parameter in soul.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


def test_lora_starts_as_the_model_and_trains_alone(tmp_path: Path) -> None:
    soul, inputs = random_soul(), random_inputs()
    expected = soul(**inputs).sample.detach()
    targets = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.2"]
    soul.add_adapter(LoraConfig(r=4, target_modules=targets))
    soul.requires_grad_(False)
    for name, parameter in soul.named_parameters():
        parameter.requires_grad_("lora_" in name)
    torch.testing.assert_close(soul(**inputs).sample, expected)
    soul(**inputs).sample.square().mean().backward()
    trained = {name for name, parameter in soul.named_parameters() if parameter.grad is not None}
    assert len(trained) == 2 * len(soul.blocks) * (3 * 4 + 1)
    with pytest.raises(ValueError, match=r"unknown key 'blocks.0.attn1.to_q.base_layer"):
        export_wan(soul, tmp_path, layout="official")


@torch.no_grad()
def test_save_and_load_are_bit_exact(tmp_path: Path) -> None:
    soul, inputs = random_soul(), random_inputs()
    soul.save_pretrained(tmp_path)
    loaded = SoulTransformer3DModel.from_pretrained(tmp_path)
    for name in TransformerConfig.__slots__:
        value = soul.config[name]
        assert loaded.config[name] == (list(value) if name == "patch_size" else value), name
    state_dict = soul.state_dict()
    assert loaded.state_dict().keys() == state_dict.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state_dict[name]), name
    assert torch.equal(loaded(**inputs).sample, soul(**inputs).sample)


@torch.no_grad()
def test_loading_in_bf16_keeps_modulation_and_norms_in_fp32(tmp_path: Path) -> None:
    random_soul().save_pretrained(tmp_path)
    soul = SoulTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    kept = {name for name, parameter in soul.named_parameters() if parameter.dtype == torch.float32}
    assert soul.dtype == torch.bfloat16
    assert {"scale_shift_table", "blocks.0.scale_shift_table", "condition_embedder.time_proj.weight"} <= kept
    assert {"blocks.1.norm2.weight", "blocks.1.norm_audio.bias", "proj_out.weight", "proj_out.bias"} <= kept
    assert not any("attn" in name or "ffn" in name or "text_embedder" in name for name in kept)
    inputs = random_inputs()
    halved = {name: value if name == "timestep" else value.bfloat16() for name, value in inputs.items()}
    assert soul(**halved).sample.dtype == torch.float32


@torch.no_grad()
def test_attention_backend_is_a_setting() -> None:
    soul, inputs = random_soul(), random_inputs()
    expected = soul(**inputs).sample
    soul.set_attention_backend("_native_math")
    backends = {processor._attention_backend.value for processor in soul.attn_processors.values()}
    assert backends == {"_native_math"}
    torch.testing.assert_close(soul(**inputs).sample, expected)
    soul.set_attention_backend("native")
    with pytest.raises(ValueError, match="must be one of"):
        soul.set_attention_backend("nonsense")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("timestep", torch.zeros(2), r"timestep has shape \(2,\), expected \(B, F\) = \(2, 3\)"),
        ("timestep", torch.zeros(2, 4), r"timestep has shape \(2, 4\)"),
        ("audio_embeds", torch.zeros(2, 3, 11, 10), r"expected \(B, F, T, A\) = \(2, 3, 12, 10\)"),
        ("hidden_states", torch.zeros(2, 4, 3, 8, 4), "4 channels, the model takes 8"),
        ("hidden_states", torch.zeros(2, 8, 3, 7, 4), "do not divide into patches"),
    ],
)
def test_shapes_that_do_not_fit_are_named(name: str, value: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_soul()(**(random_inputs() | {name: value}))


def test_unsupported_configurations_are_named() -> None:
    with pytest.raises(ValueError, match="temporal patch must be 1"):
        random_soul(patch_size=(2, 2, 2))
    with pytest.raises(ValueError, match="qk_norm None is not supported"):
        random_soul(qk_norm=None)


def test_soul_5b_has_the_counted_parameters() -> None:
    with torch.device("meta"):
        soul = build_transformer(transformer_config("soul-5b"))
    sizes = {name: parameter.numel() for name, parameter in soul.named_parameters()}
    audio = sum(size for name, size in sizes.items() if "audio" in name)
    attention = sum(size for name, size in sizes.items() if "attn_audio" in name or "norm_audio" in name)
    assert sum(sizes.values()) - audio == 4_999_787_712
    assert attention == pytest.approx(1.133e9, rel=1e-3)
    assert sum(sizes.values()) == pytest.approx(6.13e9, rel=0.005)


def test_presets_are_known_by_name_and_match_the_constructor() -> None:
    assert set(PRESETS) == {"soul-5b", "tiny"}
    config = dict(SoulTransformer3DModel(**{**AUDIO, "num_layers": 0}).config)
    names = set(TransformerConfig.__slots__)
    assert names == {name for name in config if not name.startswith("_")}
    with pytest.raises(ValueError, match="unknown model preset 'soul5b', did you mean 'soul-5b'"):
        transformer_config("soul5b")


def test_tiny_preset_runs() -> None:
    config = transformer_config("tiny")
    soul = build_transformer(config)
    latents = torch.randn(1, config.in_channels, 2, 4, 4)
    text = torch.randn(1, 5, config.text_dim)
    assert soul(latents, torch.tensor([[0.0, 500.0]]), text).sample.shape == latents.shape


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
