"""The decoder study from end to end, at a size that shows that it runs."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from bench.studies.decoder import main
from bench.studies.decoder_scores import compare_decoders, decoder_sizes, streaming_error
from bench.studies.small_vae import train_small_vae
from bench.studies.talking_faces.dataset import held_out_performance
from bench.studies.talking_faces.performance import FPS, perform
from model.codecs.vae import efficient_vae_config, wan_vae_config
from tests.bench.studies.shape import committed, shape


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.from_numpy(perform(held_out_performance(0, duration_s=9 / FPS)).frames)


@pytest.fixture(scope="module")
def small(frames: torch.Tensor) -> AutoencoderKLWan:
    """Trained for two steps: one on single pictures, one on videos."""
    return train_small_vae([frames.numpy()], steps=2)


def test_full_sizes_are_those_of_the_paper_and_of_the_results() -> None:
    sizes = decoder_sizes(wan_vae_config(), efficient_vae_config(), height=720, width=1280)
    assert sizes["parameters"] == [555_049_228, 34_965_580]
    assert [macs / 1e12 for macs in sizes["macs"]] == pytest.approx([688.58, 43.34], rel=0.01)
    assert sizes == committed("decoder")["full_size"]


def test_a_small_autoencoder_learns_and_is_as_far_from_itself_as_it_should_be(
    frames: torch.Tensor, small: AutoencoderKLWan
) -> None:
    faces, vae = frames.numpy(), small
    assert min(vae.config.latents_std) > 0
    fidelity, lpips, shown = compare_decoders(vae, vae, [faces])
    assert fidelity["student against teacher"]["psnr"] == pytest.approx(106, abs=1)
    assert fidelity["student against original"] == fidelity["teacher against original"]
    assert (fidelity["student against teacher"]["lpips"] is None) == lpips.startswith("not measured")
    assert torch.equal(shown[0].teacher, shown[0].student)
    assert streaming_error(vae, faces) < 1e-5


def test_an_autoencoder_learns_in_all_its_kernels(frames: torch.Tensor, small: AutoencoderKLWan) -> None:
    one = train_small_vae([frames.numpy()], steps=1)
    kernels = {name for name, weight in one.named_parameters() if weight.numel() > len(weight)}
    still = {name for name in kernels if torch.equal(one.state_dict()[name], small.state_dict()[name])}
    # What only sees time has nothing to do in the first half, which has single pictures.
    assert not {name for name in still if "time_conv" not in name}


@pytest.mark.slow
def test_the_study_measures_what_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--videos", "12", "--vae-steps", "10", "--steps", "12", "--held-out", "1"]
    assert main(["--run", str(tmp_path), "--out", str(tmp_path / "kept"), *sizes]) == 0
    report = json.loads((tmp_path / "kept/decoder.json").read_text())
    assert shape(report) == shape(committed("decoder"))
    assert report["small"]["parameters"][0] > 3 * report["small"]["parameters"][1]
    pixel = list(report["training"]["pixel_loss"].values())
    assert pixel[-1] < pixel[0]
    assert report["streaming_error"]["student"] < 1e-5
    assert (tmp_path / "kept/decoder.png").stat().st_size > 1000
    student, teacher = (
        AutoencoderKLWan.from_pretrained(tmp_path / folder / "vae") for folder in ("train/evae/model", "teacher")
    )
    assert student.config.decoder_base_dim * 2 == teacher.config.decoder_base_dim
    assert "student against teacher" in capsys.readouterr().out
