"""Cutting clips out of a source: exact to the frame, without re-encoding where that is exact, in one decode."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from curation.clip.observations import Box
from curation.media.colour import WRITTEN, Tags, Writing, tag_output
from curation.media.duration import DEFAULT_RATE
from curation.media.facts import Facts, facts_of
from curation.media.frames import RawFrame, iter_raw_frames
from curation.media.streams import open_media, packets_of
from curation.media.timeline import SAME_FRAME_S


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


def cut_clips(path: str, cuts: Sequence[Cut], *, crf: int = 18, preset: str = "veryfast") -> list[CutVideo | None]:
    """Each cut as mp4 bytes, its frames' timing kept; None where the file has no frame in the span.

    Packets are copied when the span begins and ends on key frames of plain H.264 that is BT.709, tagged so, and needs
    no cropping, turning or scaling; everything else is encoded with x264 at `crf`, all cuts in one pass over the file.
    Either way the result is BT.709 of limited range, and tagged so.

    Raises:
        MediaError: the file cannot be read.
    """
    facts = facts_of(path)
    done: dict[int, CutVideo] = {}
    for index, cut in enumerate(cuts):
        if cut.crop is None and _copyable(facts):
            # A cut that the muxer refuses, or that cannot be decoded again, is encoded instead.
            with suppress(av.error.FFmpegError, ValueError):
                copied = _copy(path, facts, cut.start_s, cut.end_s)
                done |= {index: copied} if copied is not None else {}
    rest = {
        index: _Encoder(cut, {"crf": str(crf), "preset": preset}) for index, cut in enumerate(cuts) if index not in done
    }
    _encode(path, list(rest.values()))
    return [done[index] if index in done else rest[index].finish() for index in range(len(cuts))]


def _copyable(facts: Facts) -> bool:
    width, height = facts.stored_size
    return (
        facts.codec == "h264"
        and facts.pixel_format == "yuv420p"
        and facts.colour.as_written
        and not facts.interlaced
        and facts.orientation.upright
        and facts.aspect == 1
        and not facts.counted
        and width % 2 == 0
        and height % 2 == 0
    )


def _copy(path: str, facts: Facts, start_s: float, end_s: float) -> CutVideo | None:
    """Copy the span's packets, or None where their decoding would not give exactly the span's frames."""
    sink = io.BytesIO()
    with open_media(path) as container:
        stream = container.streams[facts.video_index]
        origin = facts.origin_s
        container.seek(int((Fraction(start_s) + origin) / stream.time_base), stream=stream)
        packets = _packets_of_span(container, stream, origin, start_s, end_s)
        if not packets:
            return None
        first = packets[0]
        if abs(float(first.pts * stream.time_base - origin) - start_s) > SAME_FRAME_S:
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
    return CutVideo(mp4, len(packets), stream_copied=True) if _as_written(mp4, len(packets)) else None


def _as_written(mp4: bytes, num_frames: int) -> bool:
    """Whether all copied frames are as we would encode them: what holds for a file's first frame may change later.

    A packet that shows nothing, an interlaced frame or other colours mean that the span has to be encoded.
    """
    with av.open(io.BytesIO(mp4)) as container:
        container.streams.video[0].thread_type = "AUTO"
        frames = 0
        for frame in container.decode(video=0):
            frames += 1
            if frame.interlaced_frame or Tags.of(frame) != WRITTEN:
                return False
    return frames == num_frames


def _packets_of_span(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    origin: Fraction,
    start_s: float,
    end_s: float,
) -> list[av.packet.Packet]:
    """The packets shown within the span, in decoding order; empty where they cannot be decoded without others.

    They can be where they begin with a key frame and lie together, the next packet is a key frame, and that one and all
    later packets are shown after them.
    """
    packets: list[av.packet.Packet] = []
    ended = False
    for packet in packets_of(container, stream):
        if not packet.size:
            continue  # the end of the file
        if packet.pts is None or packet.dts is None:
            return []
        shown_s, decoded_s = (float(ticks * stream.time_base - origin) for ticks in (packet.pts, packet.dts))
        if start_s - SAME_FRAME_S <= shown_s < end_s - SAME_FRAME_S:
            follows = packet.dts > packets[-1].dts if packets else packet.is_keyframe
            if ended or not follows:
                return []
            packets.append(packet)
            continue
        comes_after = shown_s > start_s
        if not packets:
            if comes_after:
                return []
            continue  # before the span: the seek has landed early
        ended = ended or packet.is_keyframe
        if not ended or not comes_after:
            return []
        if decoded_s >= end_s - SAME_FRAME_S:
            break  # what is decoded from here on is shown later still
    return packets


def _encode(path: str, encoders: Sequence[_Encoder]) -> None:
    """Decode from the first span's start to the last one's end and hand each frame to the spans it is in."""
    if not encoders:
        return
    start_s, end_s = min(e.cut.start_s for e in encoders), max(e.cut.end_s for e in encoders)
    for raw in iter_raw_frames(path, start_s, end_s):
        for encoder in encoders:
            if encoder.cut.start_s - SAME_FRAME_S <= raw.time_s < encoder.cut.end_s - SAME_FRAME_S:
                encoder.add(raw)


class _Encoder:
    """One mp4 that is being encoded."""

    def __init__(self, cut: Cut, options: dict[str, str]) -> None:
        self.cut = cut
        self.options = options
        self.sink = io.BytesIO()
        self.num_frames = 0
        self.writing = Writing()
        self.output: av.container.OutputContainer | None = None

    def add(self, raw: RawFrame) -> None:
        """Encode one frame of the span; the first one fixes the size."""
        frame = written_frame(raw, self.cut.crop, self.writing)
        if self.output is None:
            self._open(frame, raw.facts)
            self.first_ticks = raw.ticks
        frame.pict_type = 0
        frame.pts, frame.time_base = raw.ticks - self.first_ticks, raw.facts.time_base
        assert self.output is not None
        self.output.mux(self.stream.encode(frame))
        self.num_frames += 1

    def finish(self) -> CutVideo | None:
        """The whole mp4; None when the span had no frame."""
        if self.output is None:
            return None
        self.output.mux(self.stream.encode(None))
        self.output.close()
        return CutVideo(self.sink.getvalue(), self.num_frames, stream_copied=False)

    def _open(self, frame: av.video.frame.VideoFrame, facts: Facts) -> None:
        self.output = av.open(self.sink, "w", format="mp4")
        self.stream = self.output.add_stream("libx264", rate=facts.rate or DEFAULT_RATE, options=self.options)
        self.stream.width, self.stream.height, self.stream.pix_fmt = frame.width, frame.height, "yuv420p"
        context = self.stream.codec_context
        context.time_base = facts.time_base
        context.thread_count = int(os.environ.get("OMP_NUM_THREADS", "0"))
        tag_output(context)


def written_frame(raw: RawFrame, crop: Box | None, writing: Writing) -> av.video.frame.VideoFrame:
    """A frame as the encoder gets it: the part of the picture, upright, 8-bit 4:2:0, BT.709 of limited range."""
    return writing.apply(_prepared(raw, crop))


def _prepared(raw: RawFrame, crop: Box | None) -> av.video.frame.VideoFrame:
    """Upright, square-pixelled, cropped, with even sides; the decoder's own frame where nothing is to be done."""
    frame = raw.frame
    if raw.as_stored and crop is None and frame.width % 2 == 0 and frame.height % 2 == 0:
        return frame
    image = raw.image()
    height, width = image.shape[:2]
    x0, y0, x1, y1 = crop.pixels(width, height) if crop else (0, 0, width, height)
    x1, y1 = x1 - (x1 - x0) % 2, y1 - (y1 - y0) % 2
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image[y0:y1, x0:x1]), format="bgr24")
