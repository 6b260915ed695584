from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch.utils.flop_counter import FlopCounterMode

from bench.__main__ import main
from bench.efficiency.autoencoders import PAPER_CLIP, count_autoencoder
from bench.efficiency.measure import grown_bytes, median_seconds
from model.codecs.vae import decode_video, efficient_vae_config, encode_video, wan_vae_config
from model.cost.flops import count_transformer_flops
from model.device import PEAK_BF16_FLOPS
from model.pretrained.assemble import build_pipeline
from model.pretrained.presets import get_preset

SMALL = ("--size", "32x64", "--frames", "5", "--repeats", "1", "--warmup", "0")


def measured(tmp_path: Path, *options: str) -> dict[str, Any]:
    """The report; operations of autoencoders are counted on one frame, not on the 81 of the paper's table."""
    out = tmp_path / "efficiency.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.efficiency.autoencoders.PAPER_CLIP", (1, 720, 1280))
        assert main(["efficiency", *SMALL, "--device", "cpu", "--out", str(out), *options]) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("full"), "--model", "tiny")


def test_the_loops_run_the_network_as_often_as_the_paper_does(full: dict[str, Any]) -> None:
    rows = full["sizes"][0]["rows"]
    assert [(row["steps"], row["guided"], row["forwards"]) for row in rows[::2]] == [
        (25, True, 50),
        (4, False, 4),
        (1, False, 1),
    ]
    assert [row["decoder"] for row in rows] == 3 * ["Wan VAE 8 wide", "Wan VAE 2 wide"]
    assert not any(row["extrapolated"] for row in rows)


def test_speed_ups_rates_and_real_time_factors_follow_from_the_seconds(full: dict[str, Any]) -> None:
    (size,) = full["sizes"]
    assert (size["height"], size["width"], size["num_tokens"]) == (64, 32, 4)
    flops = count_transformer_flops(
        get_preset("tiny").transformer, num_frames=5, height=64, width=32, num_text_tokens=64
    )
    assert size["forward_flops"] == flops.total
    first = size["rows"][0]
    for row in size["rows"]:
        assert row["full_s"] == pytest.approx(row["encode_s"] + row["dit_s"] + row["decode_s"])
        for part in ("dit", "decode", "full"):
            assert row[f"{part}_speedup"] == pytest.approx(first[f"{part}_s"] / row[f"{part}_s"])
        assert row["dit_flops_per_s"] == pytest.approx(row["forwards"] * flops.total / row["dit_s"])
        assert row["real_time_factor"] == pytest.approx(row["full_s"] * 25 / 5)
        assert row["mfu"] is None
        assert row["peak_bytes"] > 4 * sum(p.numel() for p in build_pipeline("tiny").transformer.parameters())
    wide, narrow = full["autoencoders"]
    assert wide["decode_speedup"] == 1
    assert narrow["decode_speedup"] == pytest.approx(wide["decode_s"] / narrow["decode_s"])
    assert narrow["encoder_parameters"] == wide["encoder_parameters"]
    # 50 forwards against 4: the machine may be busy, but not that busy.
    assert first["dit_s"] > 2 * size["rows"][2]["dit_s"]


def test_the_report_names_device_versions_and_command(full: dict[str, Any]) -> None:
    conditions = full["conditions"]
    assert conditions["torch"] == torch.__version__
    assert conditions["device"].endswith("1 thread")
    assert conditions["command"].startswith("python -m bench efficiency --size 32x64")
    assert (conditions["measure"], conditions["batch_size"], conditions["dtype"]) == ("full", 1, "float32")
    assert any("not the paper's conditions" in note for note in full["notes"])


def test_a_directory_is_measured_with_its_own_codec_and_a_given_evae(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_pipeline("tiny", clip_latents=3).save_pretrained(tmp_path / "model")
    narrow = AutoencoderKLWan(**(wan_vae_config() | {"base_dim": 4, "decoder_base_dim": 4}))
    narrow.save_pretrained(tmp_path / "evae")
    options = ("--model", str(tmp_path / "model"), "--measure", "forward")
    alone = measured(tmp_path, *options)
    assert [row["decoder"] for row in alone["sizes"][0]["rows"]] == 3 * ["patch-DCT"]
    assert any("name one with --evae" in note for note in alone["notes"])
    capsys.readouterr()
    both = measured(tmp_path, *options, "--evae", str(tmp_path / "evae"), "--dtype", "bfloat16")
    assert [row["name"] for row in both["autoencoders"]] == ["patch-DCT", "Wan VAE 4 wide"]
    assert both["autoencoders"][1]["weights"] == str(tmp_path / "evae")
    assert both["conditions"]["weights"] == "directory"
    # One forward multiplied is said to be that.
    rows = both["sizes"][0]["rows"]
    assert [row["forwards"] for row in rows] == [50, 50, 4, 4, 1, 1]
    assert [row["extrapolated"] for row in rows] == 4 * [True] + 2 * [False]
    assert rows[0]["dit_s"] == pytest.approx(50 * rows[4]["dit_s"])
    assert "not a loop that ran" in capsys.readouterr().out
    assert both["conditions"]["vae_dtype"] == "bfloat16"


def test_a_step_cache_is_measured_beside_the_loop_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_pipeline("tiny", clip_latents=2).save_pretrained(tmp_path / "model")
    report = measured(tmp_path, "--model", str(tmp_path / "model"), "--cache", "taylor:5")
    plain, cached, few, _ = report["sizes"][0]["rows"]
    assert (plain["cached"], few["cached"], cached["sampling"]) == (None, None, "25 steps, CFG, taylor:5")
    # Of 25 steps, the first three and every fifth from the fifth on are computed.
    assert cached["cached"]["skipped_blocks"] == pytest.approx(17 / 25)
    assert cached["cached"]["relative_error"] > 0
    assert cached["forwards"] == plain["forwards"] == 50
    assert "68% of the blocks skipped" in capsys.readouterr().out


def test_the_full_autoencoder_costs_what_the_paper_says() -> None:
    whole = count_autoencoder(AutoencoderKLWan, wan_vae_config(), PAPER_CLIP)
    assert whole.encoder_parameters / 1e6 == pytest.approx(149.64, rel=0.01)
    assert whole.encoder_macs / 1e12 == pytest.approx(130.82, rel=0.01)
    assert whole.decoder_parameters / 1e6 == pytest.approx(555.05, rel=0.01)
    assert whole.decoder_macs / 1e12 == pytest.approx(688.58, rel=0.01)


@pytest.mark.slow
def test_the_efficient_autoencoder_costs_what_the_paper_says() -> None:
    whole, efficient = (
        count_autoencoder(AutoencoderKLWan, config, PAPER_CLIP) for config in (wan_vae_config(), efficient_vae_config())
    )
    assert efficient.decoder_parameters / 1e6 == pytest.approx(34.97, rel=0.01)
    assert efficient.decoder_macs / 1e12 == pytest.approx(43.34, rel=0.01)
    assert efficient.encoder_macs == whole.encoder_macs


def test_operations_of_a_long_clip_are_counted_as_if_it_were_coded() -> None:
    config = wan_vae_config() | {"base_dim": 4, "decoder_base_dim": 4, "num_res_blocks": 1}
    with torch.device("meta"):
        vae = AutoencoderKLWan(**config)
        with FlopCounterMode(display=False) as encoding:
            encode_video(vae, torch.empty(1, 3, 17, 32, 32))
        with FlopCounterMode(display=False) as decoding:
            decode_video(vae, torch.empty(1, 48, 5, 2, 2))
    cost = count_autoencoder(AutoencoderKLWan, config, (17, 32, 32))
    assert cost.encoder_macs == encoding.get_total_flops() / 2
    assert cost.decoder_macs == decoding.get_total_flops() / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "soul-5b", "--size", "16384x16384"], "GiB of memory"),
        (["--model", "nope/nope/nope"], "no such directory"),
        (["--model", "tiny", "--size", "64x65"], "height 65 is not divisible by 32"),
        (["--model", "tiny", "--size", "720p"], "--size must be WIDTHxHEIGHT"),
        (["--model", "tiny", "--frames", "8"], "4k + 1"),
        (["--model", "tiny", "--repeats", "0"], "--repeats 0"),
        (["--model", "tiny", "--attention", "flush"], "attention flush: there is no such backend; what works here"),
        (["--model", "tiny", "--quantization", "fp8"], "fp8 stands in for bfloat16"),
        (["--model", "tiny", "--cache", "first-block", "--measure", "forward"], "choose --measure full"),
        (["--model", "tiny", "--evae", "nope/nope/nope"], "no such directory"),
        (["--model", "tiny", "--out", "nope/x.json"], "no such directory"),
        (["--model", "tiny", "--device", "abacus"], "--device abacus"),
    ],
)
def test_mistakes_are_one_line(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["efficiency", "--device", "cpu", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("soul: ")
    assert error.count("\n") == 1
    assert message in error


def test_the_memory_that_is_held_at_once_is_counted() -> None:
    def work() -> None:
        kept = torch.zeros(1000)
        for _ in range(3):
            kept = kept + torch.ones(1000)

    # What is kept, the ones, and their sum.
    assert grown_bytes(work, torch.device("cpu")) == 3 * 4000


def test_the_median_leaves_warm_up_and_outliers_out() -> None:
    runs: list[int] = []
    assert median_seconds(lambda: runs.append(1), torch.device("cpu"), warmup=2, repeats=3) < 1
    assert len(runs) == 5


@pytest.mark.gpu
def test_a_gpu_has_an_mfu(tmp_path: Path) -> None:
    report = measured(tmp_path, "--model", "tiny", "--device", "cuda")
    name = report["conditions"]["device"]
    known = any(key in name for key in PEAK_BF16_FLOPS)
    assert all((row["mfu"] is not None) == known for row in report["sizes"][0]["rows"])
