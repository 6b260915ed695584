"""`python -m model convert`: Wan2.2 to a model directory."""

import argparse

from rich.console import Console

from model.generation.request import check_codebook, check_new_directory

console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def run(options: argparse.Namespace) -> None:
    """Write a model directory that starts from Wan2.2.

    Raises:
        ValueError: a part is missing or does not fit; one line that says what.
    """
    check_new_directory(options.out)
    check_codebook(options.codebook)
    import torch  # noqa: PLC0415

    from model.generation.codebook import Codebook  # noqa: PLC0415
    from model.pretrained import conversion  # noqa: PLC0415

    codebook = None if options.codebook is None else Codebook.load(options.codebook)
    conversion.convert(
        conversion.Conversion(
            wan=options.wan,
            components=options.components,
            vae=options.vae,
            whisper=options.whisper,
            zero_audio_output=options.zero_audio_output,
            scheduler=options.scheduler,
            dtype=getattr(torch, options.dtype),
        ),
        options.out,
        codebook=codebook,
    )
    use = "to train or to make videos" if options.dtype == "float32" else "to make videos; train from --dtype float32"
    console.print(f"{options.out}: a model directory from {options.wan}, the network in {options.dtype}: {use}")
