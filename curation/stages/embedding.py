"""Keyframes get their embeddings where the profile has a network for it: by these, copies of clips are found later."""

from __future__ import annotations

from dataclasses import replace

from curation.backends.picture.embedder import PictureEmbedder
from curation.clip.schema import Source


class EmbedKeyframes:
    """Let the network that checks cuts look at a source's keyframes too; it decides nothing."""

    def __init__(self, embedder: PictureEmbedder) -> None:
        self.embedder = embedder

    def __call__(self, source: Source) -> Source:
        """The source, its keyframes with their embeddings; one that goes no further stays as it is."""
        if not source.active:
            return source
        embeddings = self.embedder.embed([keyframe.image() for keyframe in source.keyframes])
        pairs = zip(source.keyframes, embeddings, strict=True)
        return replace(source, keyframes=tuple(replace(keyframe, embedding=each) for keyframe, each in pairs))
