"""From a curated shard to encoded clips: reading the clips and running the networks on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from curation.encoding.clip_inputs import Material, read_material
from curation.encoding.config import EncodeConfig
from curation.encoding.curated_clips import CuratedClip, kept_clips, open_shard
from curation.encoding.encoded import EncodedClip, EncodedSample, Skipped
from curation.encoding.networks import ClipEncoder
from curation.encoding.references import Draw, Group, generator_of, group_clips
from curation.shards.run_directory import RunDirectory
from model.ahead import ahead
from model.codecs.audio import CONTEXT_STEPS


def encode_shard(
    run: RunDirectory,
    shard: str,
    encoder: ClipEncoder,
    *,
    area: int,
    alive: Callable[[], None],
    done: Collection[str] = (),
) -> Iterator[EncodedClip | Skipped]:
    """Encode the kept clips of a committed shard; a clip that cannot be encoded is given as skipped, with the reason.

    Args:
        run: where the shard is.
        shard: its name.
        encoder: the networks, and the settings.
        area: pixels of a frame.
        alive: called after every clip.
        done: keys of clips that are encoded already.

    Raises:
        FileNotFoundError: there is no such shard.
    """
    config = encoder.config
    clips = [clip for clip in kept_clips(run, shard) if clip.key not in done]
    groups = group_clips(clips, area=area, num_references=config.num_references)
    if not groups:
        return
    with open_shard(run, shard) as reader:
        materials = ahead(read_material(reader, groups, config))
        for group in groups:
            yield from _encode_group(group, islice(materials, len(group.clips)), encoder, alive)


def skip_all(run: RunDirectory, shard: str, reason: str, *, done: Collection[str] = ()) -> Iterator[Skipped]:
    """Every kept clip of a shard that is not encoded already, skipped."""
    for clip in kept_clips(run, shard):
        if clip.key not in done:
            yield _skipped(clip, reason)


def _encode_group(
    group: Group, materials: Iterator[Material], encoder: ClipEncoder, alive: Callable[[], None]
) -> Iterator[EncodedClip | Skipped]:
    """The clips of one group. Their latents are held until the last clip has lent its frames to those before it."""
    lent: dict[Draw, Tensor] = {}
    samples: list[EncodedSample | Skipped] = []
    for material in materials:
        lent |= _lend(material, encoder)
        samples.append(_encode(material, encoder))
        alive()
    for sample in samples:
        yield sample if isinstance(sample, Skipped) else _finish(sample, group, lent, encoder.config)


def _lend(material: Material, encoder: ClipEncoder) -> dict[Draw, Tensor]:
    """The latents of the frames of this clip that clips of its group drew."""
    if not material.singles:
        return {}
    latents = encoder.pictures(list(material.singles.values()))
    return {Draw(material.clip.key, frame): one for frame, one in zip(material.singles, latents, strict=True)}


def _encode(material: Material, encoder: ClipEncoder) -> EncodedSample | Skipped:
    """The sample without its references."""
    clip, sound = material.clip, material.sound
    if material.window is None:
        return _skipped(clip, material.problem)
    latents = encoder.video(material.window)
    return EncodedSample(
        key=clip.key,
        source=clip.source,
        pool=clip.pool,
        prompts=material.prompts,
        fps=encoder.config.fps,
        latents=latents,
        reference_latents=latents[None, :, 0][:0],
        text_states=encoder.words(material.prompts),
        audio_features=None if sound is None else encoder.sound(sound),
        audio_first_step=0 if sound is None else -CONTEXT_STEPS,
        wav=None if sound is None else sound.wav,
    )


def _finish(
    sample: EncodedSample, group: Group, lent: dict[Draw, Tensor], config: EncodeConfig
) -> EncodedClip | Skipped:
    # Where a damaged clip lends nothing, this clip's own first frame takes its place: latent 0 of a causal autoencoder
    # is that frame encoded alone.
    references = [lent.get(draw, sample.latents[:, 0]) for draw in group.draws[sample.key]]
    sample = replace(sample, reference_latents=torch.stack(references))
    tensors = (sample.latents, sample.reference_latents, *sample.text_states, sample.audio_features)
    if not all(tensor is None or bool(tensor.isfinite().all()) for tensor in tensors):
        return Skipped(
            key=sample.key, source=sample.source, pool=sample.pool, reason="not_finite: an encoder gave NaN or infinity"
        )
    height, width = group.size
    vectors = _codebook_vectors(sample, config.vectors_per_clip)
    return EncodedClip(sample=sample, height=height, width=width, codebook_vectors=vectors)


def _codebook_vectors(sample: EncodedSample, count: int) -> npt.NDArray[np.float16]:
    """(P, C): latent positions of the clip, drawn uniformly, the same every time."""
    vectors = rearrange(sample.latents, "c f h w -> (f h w) c")
    places = generator_of(sample.key, "codebook").choice(len(vectors), size=min(count, len(vectors)), replace=False)
    drawn: npt.NDArray[np.float16] = vectors[torch.from_numpy(places)].numpy()
    return drawn


def _skipped(clip: CuratedClip, reason: str) -> Skipped:
    return Skipped(key=clip.key, source=clip.source, pool=clip.pool, reason=reason)
