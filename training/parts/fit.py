"""Whether a network fits the samples that it is to be trained on, and the ranks that are to share it."""

from __future__ import annotations

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import Encoding
from infra.config import ConfigError
from model.codecs.audio import CONTEXT_STEPS
from model.network.transformer import SoulTransformer3DModel
from training.data.index import SampleIndex


def check_fit(transformer: SoulTransformer3DModel, encoding: Encoding, where: str) -> None:
    """Compare the widths that a network and encoded shards must share; `where` names the shards.

    Raises:
        ConfigError: one differs, and the message names it; or the sound was encoded otherwise than generation hears it.
    """
    config = transformer.config
    for name, expected, found in (
        ("latent channels", config.in_channels, encoding.latent_channels),
        ("text states", config.text_dim, encoding.text_dim),
        ("audio features", config.audio_dim, encoding.audio_dim),
    ):
        if expected != found:
            raise ConfigError(
                f"{where} was encoded for another model: its {name} have {found} channels, the network takes {expected}"
            )
    if encoding.audio_context_steps != CONTEXT_STEPS:
        raise ConfigError(
            f"{where} was encoded by an older version, whose clips do not sound as they do when videos are made: move "
            "it away and encode again"
        )


def check_shared(transformer: SoulTransformer3DModel, samples: SampleIndex, num_ranks: int) -> None:
    """Check before training that so many ranks can share every clip: the first clip of a bad bucket may come late.

    Raises:
        ConfigError: they cannot share the attention heads, or the tokens of a bucket's latent frame.
    """
    _, patch_height, patch_width = transformer.config.patch_size
    shared = {"attention heads of the network": int(transformer.config.num_attention_heads)}
    for bucket in map(Bucket.parse, samples.table["bucket"].unique().to_pylist()):
        _, height, width = bucket.latent_shape
        shared[f"tokens of a latent frame of {bucket}"] = (height // patch_height) * (width // patch_width)
    for what, number in shared.items():
        if number % num_ranks:
            raise ConfigError(
                f"{num_ranks} ranks cannot share the {number} {what}: parallel.sequence_parallel must divide them"
            )
