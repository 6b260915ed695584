"""A clip's picture and its sound, which shards keep apart, in one file that browsers play."""

from __future__ import annotations

import io

import av

from curation.media.errors import MediaError


def with_sound(mp4: bytes, wav: bytes) -> bytes:
    """Lay a clip's sound under its picture: an mp4 with the same packets of video, and the same samples as FLAC.

    FLAC loses nothing and, unlike AAC, begins with its first sample, so that both are in step as they are in training.

    Raises:
        MediaError: one of them cannot be read.
    """
    sink = io.BytesIO()
    try:
        with (
            av.open(io.BytesIO(mp4)) as pictures,
            av.open(io.BytesIO(wav)) as sound,
            av.open(sink, "w", format="mp4") as output,
        ):
            video, audio = pictures.streams.video[0], sound.streams.audio[0]
            copied = output.add_stream_from_template(video)
            encoded = output.add_stream("flac", rate=audio.rate, layout=audio.layout, format="s16")
            for packet in pictures.demux(video):
                if packet.dts is not None:
                    packet.stream = copied
                    output.mux(packet)
            for frame in sound.decode(audio):
                output.mux(encoded.encode(frame))
            output.mux(encoded.encode(None))
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise MediaError("undecodable", f"its picture and sound do not go together: {error}") from error
    return sink.getvalue()
