"""Cutting one clip out of a source: exact to the frame, without re-encoding where that is exact."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from curation.media.frames import TIME_TOLERANCE_S, RawFrame, decode, stream_origin, to_image
from curation.media.probe import MediaError, open_video, sample_aspect_ratio, video_stream
from curation.schema import Box, VideoInfo


@dataclass(frozen=True, slots=True)
class CutVideo:
    """An mp4 (H.264, square pixels, upright, no audio) and what it holds."""

    mp4: bytes
    num_frames: int
    stream_copied: bool


def cut_clip(
    path: str,
    info: VideoInfo,
    start_s: float,
    end_s: float,
    *,
    crop: Box | None = None,
    crf: int = 18,
    preset: str = "veryfast",
) -> CutVideo:
    """The frames with `start_s <= time < end_s`, their timing kept, as mp4 bytes.

    Packets are copied when the span begins and ends on key frames of plain H.264 that needs no cropping,
    turning or scaling; everything else is encoded with x264 at `crf`.

    Raises:
        MediaError: the file cannot be opened or has no frame in the span.
    """
    if crop is None and _copyable(info):
        copied = _copy(path, start_s, end_s)
        if copied is not None:
            return copied
    return _encode(path, start_s, end_s, crop, {"crf": str(crf), "preset": preset})


def _copyable(info: VideoInfo) -> bool:
    return (
        info.codec == "h264"
        and info.pixel_format == "yuv420p"
        and info.rotation_deg == 0
        and info.sample_aspect_ratio == 1.0
        and info.width % 2 == 0
        and info.height % 2 == 0
    )


def _copy(path: str, start_s: float, end_s: float) -> CutVideo | None:
    """Copy the span's packets, or None where their decoding would not give exactly the span's frames."""
    sink = io.BytesIO()
    with open_video(path) as container, av.open(sink, "w", format="mp4") as output:
        stream = video_stream(container)
        origin = stream_origin(stream)
        container.seek(int((Fraction(start_s) + origin) / stream.time_base), stream=stream)
        packets, closed = _packets_of_span(container, stream, origin, start_s, end_s)
        if not packets or not packets[0].is_keyframe or not closed:
            return None
        first = packets[0]
        if abs(float(first.pts * stream.time_base - origin) - start_s) > TIME_TOLERANCE_S:
            return None
        if any(packet.pts < first.pts for packet in packets):
            return None
        target = output.add_stream_from_template(stream)
        shift = first.pts
        for packet in packets:
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = target
            output.mux(packet)
    mp4 = sink.getvalue()
    num_frames = count_frames(mp4)
    return CutVideo(mp4, num_frames, stream_copied=True) if num_frames == len(packets) else None


def _packets_of_span(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    origin: Fraction,
    start_s: float,
    end_s: float,
) -> tuple[list[av.packet.Packet], bool]:
    """The packets shown inside the span in decoding order, and whether nothing after them is needed."""
    packets: list[av.packet.Packet] = []
    for packet in container.demux(stream):
        if packet.pts is None or packet.dts is None:
            continue
        time_s = float(packet.pts * stream.time_base - origin)
        if time_s >= end_s - TIME_TOLERANCE_S:
            # Decoding order: a key frame at the end means that the span is whole.
            return packets, packet.is_keyframe
        if time_s >= start_s - TIME_TOLERANCE_S:
            packets.append(packet)
        elif packets:
            return packets, False
    return packets, True


def count_frames(mp4: bytes) -> int:
    """How many frames an mp4 decodes to."""
    with av.open(io.BytesIO(mp4)) as container:
        return sum(1 for _ in container.decode(video=0))


def _encode(path: str, start_s: float, end_s: float, crop: Box | None, options: dict[str, str]) -> CutVideo:
    sink = io.BytesIO()
    num_frames = 0
    with (
        open_video(path) as container,
        av.open(sink, "w", format="mp4") as output,
    ):
        source = video_stream(container)
        target = None
        for frame in _prepared(decode(container, start_s, end_s), sample_aspect_ratio(source), crop):
            if target is None:
                target = output.add_stream("libx264", rate=source.average_rate or 25, options=options)
                target.width, target.height, target.pix_fmt = frame.width, frame.height, "yuv420p"
                target.codec_context.time_base = source.time_base
                target.codec_context.thread_count = source.codec_context.thread_count
                origin = frame.pts
            frame.pts -= origin
            frame.time_base = source.time_base
            output.mux(target.encode(frame))
            num_frames += 1
        if target is None:
            raise MediaError("undecodable", f"no frame between {start_s:.3f} s and {end_s:.3f} s")
        output.mux(target.encode(None))
    return CutVideo(sink.getvalue(), num_frames, stream_copied=False)


def _prepared(frames: Iterator[RawFrame], aspect: Fraction, crop: Box | None) -> Iterator[av.video.frame.VideoFrame]:
    """Upright, square-pixelled, cropped frames with even sides; untouched where nothing is to be done."""
    for raw in frames:
        frame = raw.frame
        frame.pict_type = 0
        plain = aspect == 1 and not frame.rotation and crop is None and frame.width % 2 == 0 and frame.height % 2 == 0
        if plain:
            yield frame
            continue
        image = to_image(frame, aspect)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = crop.pixels(width, height) if crop else (0, 0, width, height)
        x1, y1 = x1 - (x1 - x0) % 2, y1 - (y1 - y0) % 2
        cut = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[y0:y1, x0:x1]), format="bgr24")
        cut.pts = frame.pts
        yield cut
