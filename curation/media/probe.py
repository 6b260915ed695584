"""Telling what a file shows and how long, in display terms."""

from __future__ import annotations

from curation.media.facts import facts_of
from curation.media.streams import open_media
from curation.schema import VideoInfo


def probe(path: str) -> VideoInfo:
    """Read the headers and decode what is needed to trust them.

    Raises:
        MediaError: see the class.
    """
    facts = facts_of(path)
    with open_media(path) as container:
        audio = None if facts.audio_index is None else container.streams[facts.audio_index].codec_context
        width, height = facts.size
        return VideoInfo(
            width=width,
            height=height,
            fps=float(facts.rate),
            duration_s=facts.duration_s,
            duration_measured=facts.duration_measured,
            codec=facts.codec,
            pixel_format=facts.pixel_format,
            rotation_deg=facts.orientation.rotation_deg,
            mirrored=facts.orientation.mirrored,
            sample_aspect_ratio=float(facts.aspect),
            field_order=facts.field_order,
            color_range="full" if facts.colour.full_range else "limited",
            color_matrix=facts.colour.matrix,
            color_primaries=facts.colour.primaries,
            color_transfer=facts.colour.transfer,
            color_matrix_assumed=facts.colour.assumed_matrix,
            times_counted=facts.counted,
            video_stream=facts.video_index,
            audio_stream=facts.audio_index,
            audio_undecodable=facts.has_sound_tracks and facts.audio_index is None,
            audio_codec=audio.name if audio else None,
            audio_rate_hz=audio.sample_rate if audio else 0,
            audio_channels=audio.channels if audio else 0,
        )
