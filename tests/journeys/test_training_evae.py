"""The stage evae from its recipe to a model directory, on a small Wan autoencoder with random weights."""

import json
import shutil
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from PIL import Image
from safetensors.torch import load_file

from model import SoulPipeline
from model.__main__ import main as model_main
from model.codecs.vae import StreamingDecoder, decode_video, encode_video
from tests.worlds.decoders import distil_decoder, evae_overrides, make_teacher
from tests.worlds.recipes import metrics, options_of
from tests.worlds.small_model import small_model
from training.__main__ import main

WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
STEPS, LOOK = 18, 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("prepared") / "run"
    make_teacher(run)
    return run


@pytest.fixture(scope="module")
def distilled(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("distilled") / "run"))
    looks = {"validation__every": LOOK, "validation__videos": 1, "validation__loss_samples": 1}
    distil_decoder(run, steps=STEPS, checkpoint__every=STEPS, **looks)
    return run


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "run"))


def test_the_error_against_the_teacher_falls_steadily(distilled: Path) -> None:
    lines = metrics(distilled, "evae")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    for name in ("loss", "pixel_loss", "feature_loss"):
        thirds = [float(np.mean([line[name] for line in part])) for part in np.array_split(np.array(lines), 3)]
        assert thirds[0] > 1.05 * thirds[1] > 1.05 * thirds[2], name
    looks = [line for line in lines if "validation_psnr" in line]
    assert [line["step"] for line in looks] == [LOOK, 2 * LOOK, STEPS]
    assert looks[0]["validation_loss"] > looks[1]["validation_loss"] > looks[2]["validation_loss"]
    assert looks[0]["validation_psnr"] < looks[1]["validation_psnr"] < looks[2]["validation_psnr"]
    assert "validation_ssim" in looks[0]
    assert not any("lpips" in name or "perceptual" in name or name == "audio_delta" for name in lines[-1])


def test_the_validation_video_shows_both_side_by_side_with_the_sound(distilled: Path) -> None:
    videos = sorted((distilled / "train/evae/validation").rglob("*.mp4"))
    assert [video.parent.name for video in videos] == [f"step-{step:08d}" for step in (LOOK, 2 * LOOK, STEPS)]
    with av.open(str(videos[0])) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == 21
        assert (frames[0].width, frames[0].height) in {(2 * 64, 64), (2 * 96, 64)}
        assert container.streams.audio


def test_the_result_has_the_narrow_decoder_and_all_else_as_it_was(distilled: Path) -> None:
    result = distilled / "train/evae/model"
    assert (distilled / "model").resolve() == result
    config, before = (json.loads((each / "vae/config.json").read_text()) for each in (result, distilled / "teacher"))
    assert config == before | {"decoder_base_dim": 4}
    assert before["decoder_base_dim"] == 8
    teacher, student = load_file(distilled / "teacher" / WEIGHTS), load_file(result / WEIGHTS)
    untouched = [name for name in teacher if name.startswith(("encoder.", "quant_conv."))]
    assert len(untouched) > 20
    assert all(torch.equal(teacher[name], student[name]) for name in untouched)
    assert not any("projections" in name for name in student)
    assert student["decoder.conv_in.weight"].shape[0] == teacher["decoder.conv_in.weight"].shape[0] // 2
    first, second = (load_file(each / "transformer/diffusion_pytorch_model.safetensors") for each in
                     (distilled / "teacher", result))  # fmt: skip
    assert all(torch.equal(first[name], second[name]) for name in first)
    index, was = (json.loads((each / "model_index.json").read_text()) for each in (result, distilled / "teacher"))
    assert index == was


@torch.no_grad()
def test_encoding_is_the_teachers_and_streaming_works_unchanged(distilled: Path) -> None:
    teacher = AutoencoderKLWan.from_pretrained(distilled / "teacher/vae")
    student = AutoencoderKLWan.from_pretrained(distilled / "model/vae")
    pixels = torch.rand(1, 3, 9, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = encode_video(student, pixels)
    assert torch.equal(latents, encode_video(teacher, pixels))
    decoder = StreamingDecoder(student)
    streamed = torch.cat([decoder(latents[:, :, :1]), decoder(latents[:, :, 1:])], dim=2)
    torch.testing.assert_close(streamed, decode_video(student, latents), rtol=0, atol=1e-5)


def test_generate_takes_it_by_a_flag_and_from_the_run(distilled: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 100, 50)).save(tmp_path / "face.png")
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.random.default_rng(0).integers(-3000, 3000, 6_400).astype("<i2").tobytes())
    common = ["--image", str(tmp_path / "face.png"), "--audio", str(tmp_path / "speech.wav"), "--prompt", "talks",
              "--steps", "1", "--size", "64x64"]  # fmt: skip
    swapped, whole, full = (tmp_path / f"{name}.mp4" for name in ("swapped", "whole", "full"))
    vae = str(distilled / "train/evae/model/vae")
    teacher = str(distilled / "teacher")
    assert model_main(["generate", "--model", teacher, "--vae", vae, "--out", str(swapped), *common]) == 0
    assert model_main(["generate", "--model", str(distilled / "model"), "--out", str(whole), *common]) == 0
    assert model_main(["generate", "--model", teacher, "--out", str(full), *common]) == 0
    pictures = [pictures_of(path) for path in (swapped, whole, full)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def pictures_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_stopped_and_gone_on_with_it_is_the_same_bit_for_bit(run: Path, prepared: Path) -> None:
    whole = Path(shutil.copytree(prepared, run.with_name("whole")))
    distil_decoder(whole, steps=5)
    distil_decoder(run, steps=3)
    distil_decoder(run, steps=5)
    names = ("loss", "pixel_loss", "feature_loss", "grad_norm")
    assert [[line[name] for name in names] for line in metrics(run, "evae")] == [
        [line[name] for name in names] for line in metrics(whole, "evae")
    ]
    ours, theirs = (load_file(each / "model" / WEIGHTS) for each in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_pipelines_load_the_result(distilled: Path) -> None:
    pipeline = SoulPipeline.from_pretrained(distilled / "model")
    assert pipeline.vae.config.decoder_base_dim == 4
    assert pipeline.config.num_inference_steps == 4


def test_without_lpips_training_says_so(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    distil_decoder(run, steps=1, decoder__lpips="auto")
    said = [line for line in capfd.readouterr().err.splitlines() if "LPIPS" in line]
    assert len(said) == 1
    assert "training without the perceptual term" in said[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": small_model()}, "is a PatchDCTCodec, which has no decoder to distil"),
        ({"decoder__lpips": "on"}, "LPIPS .vgg. is not there"),
        ({"decoder__decoder_base_dim": 0}, "decoder_base_dim is at least 1"),
        ({"decoder__feature_blocks": "[4]"}, "feature_blocks are among 0 … 3"),
        ({"decoder__crop__warmup": -1}, "warmup is at least 0"),
        ({"store_dtype": "bfloat16"}, "stored in fp32"),
        ({"parallel__gradient_checkpointing": "full"}, "keeps a causal cache"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    run: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
) -> None:
    assert main(options_of(run, "evae", evae_overrides(run, **changes))) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert message.replace(".vgg.", "(vgg)") in line
