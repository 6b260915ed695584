"""Soul's network and pipeline: Wan2.2-TI2V-5B with audio attention in every block (paper, Sec. 3)."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.audio_encoders import LogMelAudioEncoder, WhisperAudioEncoder
    from model.codebook import Codebook
    from model.codec import PatchDCTCodec
    from model.pipeline import SoulPipeline
    from model.text import HashedTextEncoder
    from model.transformer import SoulTransformer3DModel
    from model.vae import StreamingDecoder, efficient_vae_config

__all__ = [
    "Codebook",
    "HashedTextEncoder",
    "LogMelAudioEncoder",
    "PatchDCTCodec",
    "SoulPipeline",
    "SoulTransformer3DModel",
    "StreamingDecoder",
    "WhisperAudioEncoder",
    "efficient_vae_config",
]

# Importing torch and diffusers costs seconds; a command line that only prints its help should not pay them.
_HOMES = {
    "Codebook": "model.codebook",
    "HashedTextEncoder": "model.text",
    "LogMelAudioEncoder": "model.audio_encoders",
    "PatchDCTCodec": "model.codec",
    "SoulPipeline": "model.pipeline",
    "SoulTransformer3DModel": "model.transformer",
    "StreamingDecoder": "model.vae",
    "WhisperAudioEncoder": "model.audio_encoders",
    "efficient_vae_config": "model.vae",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
