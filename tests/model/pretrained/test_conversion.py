import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel, WhisperConfig, WhisperModel

from model.__main__ import main
from model.codecs.audio_encoders import WhisperAudioEncoder
from model.codecs.text import encode_text, max_text_tokens, text_states
from model.codecs.vae import efficient_vae_config, wan_vae_config
from model.generation.pipeline import SoulPipeline
from model.pretrained.assemble import load_encoders
from model.pretrained.conversion import Conversion, convert
from model.pretrained.presets import WAN_NEGATIVE_PROMPT
from model.weights.files import stored_dtype
from model.weights.wan_checkpoints import load_wan
from tests.worlds.pipelines import asked, make_codebook, noise


def small_vae(config: dict[str, object]) -> AutoencoderKLWan:
    return AutoencoderKLWan(**config | {"base_dim": 4, "decoder_base_dim": 4})


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release in diffusers' layout with every part of the real one, each very small, and a Whisper."""
    folder = tmp_path_factory.mktemp("release")
    torch.manual_seed(0)
    WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=24,
        in_channels=48,
        out_channels=48,
        text_dim=16,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    ).save_pretrained(folder / "transformer")
    small_vae(wan_vae_config()).save_pretrained(folder / "vae")
    small_vae(efficient_vae_config()).save_pretrained(folder / "evae")
    UMT5EncoderModel(
        UMT5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    ).save_pretrained(folder / "text_encoder")
    letters = {chr(97 + i): i + 2 for i in range(26)}
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 28, **letters}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")
    whisper = WhisperConfig(
        num_mel_bins=80,
        d_model=16,
        encoder_layers=4,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )
    WhisperModel(whisper).save_pretrained(folder / "whisper")
    return folder


def test_a_release_becomes_a_model_directory_that_makes_video(release: Path, tmp_path: Path) -> None:
    make_codebook().save(tmp_path / "codebook.safetensors")
    out = tmp_path / "model"
    arguments = ["convert", str(release), "--whisper", str(release / "whisper")]
    arguments += ["--vae", str(release / "evae"), "--codebook", str(tmp_path / "codebook.safetensors")]
    assert main([*arguments, "--out", str(out)]) == 0
    pipeline = SoulPipeline.from_pretrained(out)
    assert pipeline.transformer.config.audio_dim == 80
    assert pipeline.codebook is not None
    assert pipeline.config.negative_prompt == WAN_NEGATIVE_PROMPT
    assert json.loads((out / "vae" / "config.json").read_text())["latents_std"][:2] == [0.4765, 1.0364]
    shutil.copytree(out, tmp_path / "encoders", ignore=shutil.ignore_patterns("transformer"))
    encoders = load_encoders(str(tmp_path / "encoders"), dtype=torch.bfloat16)
    assert (encoders.text_encoder.dtype, encoders.vae.dtype) == (torch.bfloat16, torch.float32)
    states = text_states(encoders.text_encoder, encoders.tokenizer, ["a cat", ""])
    padded = encode_text(encoders.text_encoder, encoders.tokenizer, ["a cat", ""])
    assert padded.shape[1] == max_text_tokens(encoders.text_encoder) == 512
    assert all(
        torch.equal(row[: len(own)], own) and not row[len(own) :].any() for own, row in zip(states, padded, strict=True)
    )
    attention = pipeline.transformer.blocks[0]
    assert torch.equal(attention.attn_audio.to_q.weight, attention.attn2.to_q.weight)
    video = pipeline(asked(audio=noise(4.5), prompt="a cat", negative_prompt="a dog", steps=1, height=32, width=32))
    assert video.frames.shape == (113, 32, 32, 3)


@pytest.mark.parametrize(
    ("dtype", "use"), [(None, "to train or to make videos"), ("bfloat16", "to make videos; train")]
)
def test_the_network_is_stored_to_be_trained_unless_said_otherwise(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: str | None, use: str
) -> None:
    arguments = ["convert", str(release), "--whisper", str(release / "whisper"), "--out", str(tmp_path / "model")]
    assert main([*arguments, *(("--dtype", dtype) if dtype else ())]) == 0
    told = capsys.readouterr().err
    assert f"the network in {dtype or 'float32'}: {use}" in told
    types = {
        "transformer": ("blocks.0.attn1.to_q.weight", "BF16" if dtype else "F32"),
        "vae": ("quant_conv.weight", "F32"),
        "audio_encoder": ("encoder.conv1.weight", "BF16"),
    }
    for part, (name, expected) in types.items():
        assert stored_dtype(tmp_path / "model" / part, name) == expected
    assert stored_dtype(tmp_path / "model" / "transformer", "proj_out.weight") == "F32"
    assert stored_dtype(tmp_path / "model" / "transformer", "no.such.tensor") is None


def test_a_release_without_its_parts_is_named(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "model")]
    whisper = ["--whisper", str(release / "whisper")]
    assert main(["convert", str(release / "transformer"), *whisper, *out]) == 2
    assert "no text_encoder/" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "absent"), *whisper, *out]) == 2
    assert "no such directory" in capsys.readouterr().err
    assert main(["convert", str(release), "--whisper", str(tmp_path / "no-whisper"), *out]) == 2
    assert "no-whisper" in capsys.readouterr().err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").touch()
    assert main(["convert", str(release), *whisper, *out]) == 2
    assert "not empty" in capsys.readouterr().err


def without_its_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_a_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"d_ff": 24}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_its_config, "config.json: no such file"),
        (without_a_weight, "missing key 'encoder.final_layer_norm.weight'"),
        (of_another_shape, "wi_0.weight"),
    ],
)
def test_a_broken_text_encoder_is_refused_and_nothing_is_left(
    release: Path, tmp_path: Path, damage: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(release, tmp_path / "broken")
    damage(tmp_path / "broken" / "text_encoder")
    words = ["convert", str(tmp_path / "broken"), "--whisper", str(release / "whisper")]
    assert main([*words, "--out", str(tmp_path / "model")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("soul: ")]
    assert said in line
    assert {path.name for path in tmp_path.iterdir()} == {"broken"}


def without_its_last_norm(tensors: dict[str, torch.Tensor]) -> str:
    del tensors["encoder.layer_norm.weight"]
    return "missing key 'encoder.layer_norm.weight'"


def with_fewer_positions(tensors: dict[str, torch.Tensor]) -> str:
    tensors["encoder.embed_positions.weight"] = tensors["encoder.embed_positions.weight"][:-1].clone()
    return r"'encoder.embed_positions.weight' has shape \(1499, 16\), expected \(1500, 16\)"


@pytest.mark.parametrize("damage", [without_its_last_norm, with_fewer_positions])
def test_a_broken_whisper_is_refused(
    release: Path, tmp_path: Path, damage: Callable[[dict[str, torch.Tensor]], str]
) -> None:
    shutil.copytree(release / "whisper", tmp_path / "whisper")
    file = tmp_path / "whisper" / "model.safetensors"
    tensors = load_file(file)
    said = damage(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=said):
        WhisperAudioEncoder.from_whisper(tmp_path / "whisper")


def test_only_the_encoder_of_a_whisper_has_to_be_whole(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release / "whisper", tmp_path / "whisper")
    file = tmp_path / "whisper" / "model.safetensors"
    save_file(
        {name: each for name, each in load_file(file).items() if name.startswith("encoder.")},
        file,
        metadata={"format": "pt"},
    )
    whole, encoder = (WhisperAudioEncoder.from_whisper(each / "whisper") for each in (release, tmp_path))
    for name, each in whole.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], each)


def test_conversion_writes_the_network_that_load_wan_loads(release: Path, tmp_path: Path) -> None:
    conversion = Conversion(wan=str(release), whisper=str(release / "whisper"), dtype=torch.bfloat16)
    convert(conversion, tmp_path / "model")
    expected = load_wan(release, torch_dtype=torch.bfloat16, audio_dim=80)
    written = SoulPipeline.from_pretrained(
        tmp_path / "model", dtype={"default": torch.bfloat16, "vae": torch.float32}
    ).transformer
    assert {name: tensor.dtype for name, tensor in written.state_dict().items()} == {
        name: tensor.dtype for name, tensor in expected.state_dict().items()
    }
    different = {
        name for name, tensor in written.state_dict().items() if not torch.equal(tensor, expected.state_dict()[name])
    }
    # It is drawn anew each time.
    assert different == {"audio_embedder.proj.weight", "audio_embedder.proj.bias"}
    assert written.state_dict()["audio_embedder.proj.weight"].float().std() > 0.01
