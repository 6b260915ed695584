"""Soul's network and pipeline: Wan2.2-TI2V-5B with audio attention in every block (paper, Sec. 3)."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.codecs.audio_encoders import LogMelAudioEncoder, WhisperAudioEncoder
    from model.codecs.patch_dct import PatchDCTCodec
    from model.codecs.text import HashedTextEncoder
    from model.codecs.vae import StreamingDecoder, efficient_vae_config
    from model.generation.codebook import Codebook
    from model.generation.pipeline import SoulPipeline
    from model.generation.request import Sampling, VideoRequest
    from model.network.transformer import SoulTransformer3DModel
    from model.weights.wan_checkpoints import load_wan
    from model.weights.wan_export import export_wan

__all__ = [
    "Codebook",
    "HashedTextEncoder",
    "LogMelAudioEncoder",
    "PatchDCTCodec",
    "Sampling",
    "SoulPipeline",
    "SoulTransformer3DModel",
    "StreamingDecoder",
    "VideoRequest",
    "WhisperAudioEncoder",
    "efficient_vae_config",
    "export_wan",
    "load_wan",
]

# Importing torch and diffusers costs seconds; a command line that only prints its help should not pay them.
_HOMES = {
    "Codebook": "model.generation.codebook",
    "HashedTextEncoder": "model.codecs.text",
    "LogMelAudioEncoder": "model.codecs.audio_encoders",
    "PatchDCTCodec": "model.codecs.patch_dct",
    "Sampling": "model.generation.request",
    "SoulPipeline": "model.generation.pipeline",
    "SoulTransformer3DModel": "model.network.transformer",
    "StreamingDecoder": "model.codecs.vae",
    "VideoRequest": "model.generation.request",
    "WhisperAudioEncoder": "model.codecs.audio_encoders",
    "efficient_vae_config": "model.codecs.vae",
    "export_wan": "model.weights.wan_export",
    "load_wan": "model.weights.wan_checkpoints",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
