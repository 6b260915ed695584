"""The two tables as text."""

from __future__ import annotations

from rich import box
from rich.table import Table

from bench.efficiency.measure import GIB
from bench.efficiency.results import AutoencoderRow, Conditions, SizeResult


def autoencoder_table(rows: tuple[AutoencoderRow, ...]) -> Table:
    """Tab. 1: a row for each autoencoder."""
    first = rows[0]
    frames, _, size = first.timed_at.partition("x")
    table = _table(
        f"Autoencoders (Tab. 1): MACs at {first.counted_at}, seconds at {frames}x{size} (frames x height x width)",
        ("autoencoder", "weights"),
        ("enc. params", "enc. MACs", "dec. params", "dec. MACs", "MACs ratio", "decode s", "speed-up"),
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
    return table


def inference_table(size: SizeResult, conditions: Conditions) -> Table:
    """Tab. 3 at one size; a star marks extrapolated seconds."""
    table = _table(
        f"One clip of {conditions.num_frames}x{size.height}x{size.width} (Tab. 3): {size.num_tokens:,} tokens, "
        f"{size.forward_flops / 1e12:,.2f} TFLOP a forward",
        ("sampling", "decoder"),
        (
            *("forwards", "DiT s", "speed-up", "decoder s", "speed-up", "full s", "speed-up"),
            *("TFLOP/s", "MFU", "peak GiB", "s per s of video"),
        ),
    )
    for row in size.rows:
        table.add_row(
            row.sampling,
            row.decoder,
            str(row.forwards),
            _seconds(row.dit_s) + ("*" if row.extrapolated else ""),
            f"{row.dit_speedup:.1f}x",
            _seconds(row.decode_s),
            f"{row.decode_speedup:.1f}x",
            _seconds(row.full_s) + ("*" if row.extrapolated else ""),
            f"{row.full_speedup:.1f}x",
            f"{row.dit_flops_per_s / 1e12:,.3g}",
            "-" if row.mfu is None else f"{100 * row.mfu:.1f} %",
            f"{row.peak_bytes / GIB:.2f}",
            f"{row.real_time_factor:.2f}",
        )
    if any(row.extrapolated for row in size.rows):
        table.caption = "* one forward's median times the number of forwards (--measure forward), not a loop that ran"
    return table


def _table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for name in words:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _scaled(count: float) -> str:
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if count >= scale:
            return f"{count / scale:.2f}{unit}"
    return f"{count:.0f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 1 else f"{seconds:.4f}"
