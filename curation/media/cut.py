"""Cutting clips out of a source: exact to the frame, without re-encoding where that is exact, in one decode."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from curation.media.frames import TIME_TOLERANCE_S, RawFrame, decode, stream_origin
from curation.media.probe import MediaError, open_video, video_stream
from curation.observations import Box
from curation.schema import VideoInfo


@dataclass(frozen=True, slots=True)
class Cut:
    """What to cut: the frames with `start_s <= time < end_s`, and the part of the picture."""

    start_s: float
    end_s: float
    crop: Box | None = None


@dataclass(frozen=True, slots=True)
class CutVideo:
    """An mp4 (H.264, square pixels, upright, no audio) and what it holds."""

    mp4: bytes
    num_frames: int
    stream_copied: bool


def cut_clips(
    path: str, info: VideoInfo, cuts: Sequence[Cut], *, crf: int = 18, preset: str = "veryfast"
) -> list[CutVideo]:
    """Each cut as mp4 bytes, its frames' timing kept.

    Packets are copied when the span begins and ends on key frames of plain H.264 that needs no cropping,
    turning or scaling; everything else is encoded with x264 at `crf`, all cuts in one pass over the file.

    Raises:
        MediaError: the file cannot be opened or has no frame in a span.
    """
    done: dict[int, CutVideo] = {}
    for index, cut in enumerate(cuts):
        copied = _copy(path, cut.start_s, cut.end_s) if cut.crop is None and _copyable(info) else None
        if copied is not None:
            done[index] = copied
    rest = {
        index: _Encoder(cut, {"crf": str(crf), "preset": preset}) for index, cut in enumerate(cuts) if index not in done
    }
    _encode(path, list(rest.values()))
    return [done[index] if index in done else rest[index].finish() for index in range(len(cuts))]


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
    with open_video(path) as container:
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
        with av.open(sink, "w", format="mp4") as output:
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
        if not packets and (time_s < start_s - TIME_TOLERANCE_S or not packet.is_keyframe):
            if time_s >= start_s - TIME_TOLERANCE_S:
                return [], False
            continue
        if time_s >= end_s - TIME_TOLERANCE_S:
            # Decoding order: a key frame at the end means that the span is whole.
            return packets, packet.is_keyframe
        if time_s < start_s - TIME_TOLERANCE_S:
            return [], False
        packets.append(packet)
    return packets, True


def count_frames(mp4: bytes) -> int:
    """How many frames an mp4 decodes to."""
    with av.open(io.BytesIO(mp4)) as container:
        return sum(1 for _ in container.decode(video=0))


def _encode(path: str, encoders: Sequence[_Encoder]) -> None:
    """Decode from the first span's start to the last one's end and hand each frame to the spans it is in."""
    if not encoders:
        return
    start_s, end_s = min(e.cut.start_s for e in encoders), max(e.cut.end_s for e in encoders)
    with open_video(path) as container:
        stream = video_stream(container)
        for raw in decode(container, start_s, end_s):
            for encoder in encoders:
                if encoder.cut.start_s - TIME_TOLERANCE_S <= raw.time_s < encoder.cut.end_s - TIME_TOLERANCE_S:
                    encoder.add(raw, stream)


class _Encoder:
    """One mp4 in the making."""

    def __init__(self, cut: Cut, options: dict[str, str]) -> None:
        self.cut = cut
        self.options = options
        self.sink = io.BytesIO()
        self.num_frames = 0
        self.output: av.container.OutputContainer | None = None

    def add(self, raw: RawFrame, source: av.video.stream.VideoStream) -> None:
        """Encode one frame of the span; the first one fixes the size."""
        pts = raw.frame.pts
        frame = _prepared(raw, self.cut.crop)
        if self.output is None:
            self._open(frame, source)
            self.first_pts = pts
        frame.pts, frame.time_base = pts - self.first_pts, source.time_base
        assert self.output is not None
        self.output.mux(self.stream.encode(frame))
        # The decoder's frame may belong to several spans.
        frame.pts, frame.time_base = pts, source.time_base
        self.num_frames += 1

    def finish(self) -> CutVideo:
        """The whole mp4.

        Raises:
            MediaError: the span had no frame.
        """
        if self.output is None:
            raise MediaError("undecodable", f"no frame between {self.cut.start_s:.3f} s and {self.cut.end_s:.3f} s")
        self.output.mux(self.stream.encode(None))
        self.output.close()
        return CutVideo(self.sink.getvalue(), self.num_frames, stream_copied=False)

    def _open(self, frame: av.video.frame.VideoFrame, source: av.video.stream.VideoStream) -> None:
        self.output = av.open(self.sink, "w", format="mp4")
        self.stream = self.output.add_stream("libx264", rate=source.average_rate or 25, options=self.options)
        self.stream.width, self.stream.height, self.stream.pix_fmt = frame.width, frame.height, "yuv420p"
        self.stream.codec_context.time_base = source.time_base
        self.stream.codec_context.thread_count = source.codec_context.thread_count


def _prepared(raw: RawFrame, crop: Box | None) -> av.video.frame.VideoFrame:
    """Upright, square-pixelled, cropped, with even sides; the decoder's own frame where nothing is to be done."""
    frame = raw.frame
    frame.pict_type = 0
    if raw.aspect == 1 and not frame.rotation and crop is None and frame.width % 2 == 0 and frame.height % 2 == 0:
        return frame
    image = raw.image()
    height, width = image.shape[:2]
    x0, y0, x1, y1 = crop.pixels(width, height) if crop else (0, 0, width, height)
    x1, y1 = x1 - (x1 - x0) % 2, y1 - (y1 - y0) % 2
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image[y0:y1, x0:x1]), format="bgr24")
