"""The device computes what a CPU computes, and bf16 what fp32 does within its precision."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from bench.efficiency.subject import STAND_IN_WIDTHS
from bench.gpu_check.figure import Figure
from bench.gpu_check.measuring import network_inputs, relative_error, tf32
from bench.gpu_check.setting import ClipSize, Setting
from model.codecs.vae import StreamingDecoder, decode_video, wan_vae_config
from model.pretrained.presets import build_transformer, get_preset

SMALL = ClipSize(name="small", num_frames=21, height=128, width=128)


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """Each figure is the error of one computation against another."""
    with tf32(allowed=False):
        yield from _against_cpu(setting)
        yield _wide_blocks(setting)
        yield from _decoding(setting)


def _against_cpu(setting: Setting) -> Iterator[Figure]:
    config = get_preset("tiny").transformer
    network = _visible(build_transformer(config)).eval()
    on_cpu = dataclasses.replace(setting, network=config, device=torch.device("cpu"))
    inputs = network_inputs(on_cpu, SMALL, torch.float32)
    reference = network(*inputs, return_dict=False)[0]
    placed = copy.deepcopy(network).to(setting.device)
    moved = [each.to(setting.device) for each in inputs]
    yield Figure(
        what="tiny network, fp32",
        error=relative_error(placed(*moved, return_dict=False)[0], reference),
        reference="CPU, fp32",
    )
    with torch.autocast(setting.device.type, torch.bfloat16):
        velocity = placed(*moved, return_dict=False)[0]
    yield Figure(what="tiny network, bf16 autocast", error=relative_error(velocity, reference), reference="CPU, fp32")


def _wide_blocks(setting: Setting) -> Figure:
    with torch.device(setting.device):
        network = _visible(build_transformer(setting.with_blocks(2))).eval()
    inputs = network_inputs(setting, SMALL, torch.float32)
    reference = network(*inputs, return_dict=False)[0]
    with torch.autocast(setting.device.type, torch.bfloat16):
        velocity = network(*inputs, return_dict=False)[0]
    return Figure(
        what="two blocks of the full width, bf16 autocast",
        error=relative_error(velocity, reference),
        reference="fp32 on the device",
    )


def _decoding(setting: Setting) -> Iterator[Figure]:
    wide, _ = STAND_IN_WIDTHS
    vae = AutoencoderKLWan(**wan_vae_config() | {"base_dim": wide, "decoder_base_dim": wide}).eval()
    latents = torch.randn(1, vae.config.z_dim, 4, 8, 8)
    on_cpu = decode_video(vae, latents)
    vae.to(setting.device)
    stock = decode_video(vae, latents)
    yield Figure(what="small Wan decoder, fp32", error=relative_error(stock, on_cpu), reference="CPU, fp32")
    streamed = StreamingDecoder(vae)(latents)
    yield Figure(what="decoding as a stream", error=relative_error(streamed, stock), reference="stock decoding")


def _visible(network: nn.Module) -> nn.Module:
    """Gates as large as a trained network's: at random ones, the blocks would hardly change the result."""
    for name, parameter in network.named_parameters():
        if "scale_shift_table" in name:
            parameter.data.normal_(std=0.5)
    return network
