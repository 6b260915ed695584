"""Telling what a file shows, and for how long, in display terms."""

from __future__ import annotations

from curation.clip.schema import VideoInfo
from curation.media.facts import facts_of


def probe(path: str) -> VideoInfo:
    """Read the headers and decode what is needed to trust them.

    Raises:
        MediaError: see the class.
    """
    facts = facts_of(path)
    sound = facts.sound
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
        audio_stream=sound.index if sound else None,
        audio_undecodable=facts.has_sound_tracks and sound is None,
        audio_codec=sound.codec if sound else None,
        audio_rate_hz=sound.rate_hz if sound else 0,
        audio_channels=sound.channels if sound else 0,
    )
