"""What a Wan autoencoder holds while it decodes or its decoder is trained.

The factors are counted on fake tensors, see `tests/training/memory/test_decoding.py`. All grow with the decoder's
width, which is 256 in Wan2.2's autoencoder and 64 in the eVAE.
"""

from __future__ import annotations

from typing import Final

FULL_WIDTH: Final = 256
ENCODER_PARAMETERS: Final = 149_640_000
_PARAMETERS: Final = 8_500
"""Of a decoder, for each square of its width."""
_PEAK: Final = 21.2
"""Numbers for each pixel of a frame and unit of width while a stream is decoded, the causal cache included."""
_SAVED: Final = 67.5
"""Numbers for each pixel of a latent frame and unit of width that a decoder keeps for its backward."""
_PERCEPTUAL: Final = 280
"""Numbers for each pixel of a picture that LPIPS keeps: the activations of VGG-16 (an estimate)."""


def decoder_parameters(width: int) -> int:
    """Parameters of a decoder, within a hundredth."""
    return _PARAMETERS * width * width


def decode_peak(width: int, pixels: int, number_bytes: int) -> float:
    """Bytes beside the weights while a video with frames of so many pixels is decoded, however long it is."""
    return _PEAK * width * pixels * number_bytes


def saved_by_crop(width: int, pixels: int, latent_frames: int) -> float:
    """Bytes that a decoder keeps for its backward through a piece, fp32, with frames of so many pixels."""
    return 4 * _SAVED * width * pixels * latent_frames


def saved_by_perceptual(pixels: int, frames: int) -> float:
    """Bytes that LPIPS keeps of both sides of a comparison, fp32."""
    return 2 * 4 * _PERCEPTUAL * pixels * frames
