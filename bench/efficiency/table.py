"""The two tables as text."""

from __future__ import annotations

from rich import box
from rich.table import Table

from bench.efficiency.measure import GIB
from bench.efficiency.results import AutoencoderRow, MeasuringConditions, SizeResult


def autoencoder_table(rows: tuple[AutoencoderRow, ...]) -> Table:
    """Tab. 1: a row for each autoencoder."""
    first = rows[0]
    table = _table(
        f"Autoencoders (Tab. 1): MACs of {_clip(first.counted_at)}, seconds of {_clip(first.timed_at)}",
        ("autoencoder", "weights"),
        ("enc. params", "enc. MACs", "dec. params", "dec. MACs", "fewer MACs", "decoder s", "speed-up"),
    )
    for row in rows:
        table.add_row(
            row.name,
            row.weights,
            _scaled(row.encoder_parameters),
            _scaled(row.encoder_macs),
            _scaled(row.decoder_parameters),
            _scaled(row.decoder_macs),
            f"{first.decoder_macs / row.decoder_macs:.1f}x",
            _seconds(row.decode_s),
            f"{row.decode_speedup:.1f}x",
        )
    table.caption = "fewer MACs and speed-up: of decoding, against the first row; the table below times decoding anew"
    return table


def inference_table(size: SizeResult, conditions: MeasuringConditions) -> Table:
    """Tab. 3 at one size; a star marks extrapolated seconds. The row of one forward is their unit, and has no video."""
    clip = _clip(f"{conditions.num_frames}x{size.height}x{size.width}")
    table = _table(
        f"One clip (Tab. 3): {clip}, {size.num_tokens:,} tokens, {_scaled(size.forward_flops)} FLOP a forward",
        ("sampling", "decoder"),
        (
            *("forwards", "DiT s", "speed-up", "decoder s", "speed-up", "full s", "speed-up"),
            *("DiT TFLOP/s", "MFU", "peak GiB", "s per s of video"),
        ),
    )
    for row in size.rows:
        star = "*" if row.extrapolated else ""
        denoising = (str(row.forwards), _seconds(row.dit_s) + star, f"{row.dit_speedup:.1f}x")
        speed = (f"{row.dit_flops_per_s / 1e12:,.3g}", "-" if row.mfu is None else f"{100 * row.mfu:.1f} %")
        if row.forwards == 1:
            table.add_row(row.sampling, "-", *denoising, *4 * ("-",), *speed, "-", "-")
            break
        table.add_row(
            row.sampling,
            row.decoder,
            *denoising,
            _seconds(row.decode_s),
            f"{row.decode_speedup:.1f}x",
            _seconds(row.full_s) + star,
            f"{row.full_speedup:.1f}x",
            *speed,
            f"{row.peak_bytes / GIB:.2f}",
            f"{row.real_time_factor:.2f}",
        )
    captions = ["speed-up: against the first row"]
    if any(row.mfu is None for row in size.rows):
        captions.append("no MFU: what this device can do at most in this type is not known")
    if any(row.extrapolated for row in size.rows):
        captions.append("* one forward's median times the number of forwards (--measure forward), not a loop that ran")
    captions += [
        f"{row.sampling}: {row.cached.skipped_blocks:.0%} of the blocks skipped, latents moved by "
        f"{row.cached.relative_error:.1%} of their norm"
        for row in size.rows
        if row.cached is not None and row.decoder == size.rows[0].decoder
    ]
    table.caption = "\n".join(captions)
    return table


def _clip(clip: str) -> str:
    """FRAMESxHEIGHTxWIDTH in words, the sides as --size takes them."""
    frames, height, width = clip.split("x")
    return f"{frames} frames of {width}x{height}"


def _table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for name in words:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _scaled(count: float) -> str:
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f}{unit}"
    return f"{count:.0f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 1 else f"{seconds:.4f}"
