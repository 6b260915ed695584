"""Video files: H.264 (or HEVC) and AAC in MP4, written while the clips arrive."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from model.media.sound import Mixer, SoundTrack
from model.media.video_codec import CODECS, X264

# Sample rates that AAC can carry; others become 48 kHz.
_AAC_RATES_HZ: Final = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_AUDIO_BIT_RATE: Final = 192_000


class VideoWriter:
    """Write frames as they come; the sound of a file is laid under them.

    While it is written the video lies in `NAME.part.mp4`, in fragments of a second, so that it can be watched
    from the first clip on and outlives a crash. `close` turns it into `NAME.mp4` with its index in front.
    Leaving a `with` block by an exception keeps the part and does not make the file.

    The sound is sample-exact: sample n of the source plays at n / rate seconds. AAC starts with 1,024 samples
    of priming, which the file's edit list skips, and its last packet is padded with silence to 1,024; the
    track's length in the header is exact. The sound ends where the source or the video ends, whichever is first.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        height: int,
        width: int,
        fps: int | Fraction,
        audio: str | Path | None = None,
        crf: int = 16,
        codec: str = X264,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"videos are written as .mp4, got {self.path}")
        self.part = self.path.with_suffix(".part.mp4")
        self.fps = Fraction(fps)
        self.height, self.width = height, width
        self.num_frames = 0
        options = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
        self._container = _open_mp4(self.part, options)
        chosen = CODECS[codec]
        self._video = self._container.add_stream(chosen.encoder, rate=self.fps, options=chosen.options(crf))
        chosen.set_up(self._video.codec_context, height=height, width=width, fps=self.fps)
        self._sound = None if audio is None else _Sound(Path(audio), self._container)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(av.FFmpegError):
                self._drain()
            self._container.close()

    def write(self, frames: np.ndarray) -> None:
        """Append frames (T, H, W, 3) uint8 RGB, and the sound that belongs to them."""
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            frame.pts, frame.time_base = self.num_frames, 1 / self.fps
            self._container.mux(self._video.encode(frame))
            self.num_frames += 1
        if self._sound is not None:
            self._sound.write_until(self.num_frames / self.fps)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: as from `write`, e.g. because the disk is full; the part stays.
        """
        self._drain()
        self._container.close()
        finished = self.path.with_suffix(".tmp.mp4")
        try:
            _remux(self.part, finished)
        except OSError:
            # A full disk: the part holds the whole video.
            finished.unlink(missing_ok=True)
            raise
        finished.replace(self.path)
        self.part.unlink()

    def _drain(self) -> None:
        self._container.mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.finish(self.num_frames / self.fps)


def add_sound(video: Path, audio: Path, out: Path) -> None:
    """Lay the sound of a file under a video, as `VideoWriter` does; the video stream is copied unchanged.

    Raises:
        ValueError: one of the files cannot be read.
    """
    try:
        source = av.open(str(video.absolute()))
        pictures = source.streams.video[0]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{video} cannot be read as a video") from error
    with source, _open_mp4(out, {"movflags": "faststart"}) as target:
        copied, sound, end_s = target.add_stream_from_template(pictures), _Sound(audio, target), Fraction(0)
        for packet in source.demux(pictures):
            if packet.pts is not None and packet.dts is not None:
                end_s = max(end_s, (packet.pts + (packet.duration or 0)) * pictures.time_base)
                packet.stream = copied
                target.mux(packet)
        sound.finish(end_s)


class _Sound:
    """The audio stream of a file, encoded piece by piece into a container.

    Mono stays mono, everything else becomes stereo by FFmpeg's mix, scaled so that it cannot clip.
    """

    def __init__(self, path: Path, container: av.container.OutputContainer) -> None:
        track = SoundTrack.open(path)
        self._container = container
        self.rate_hz = track.format.rate_hz if track.format.rate_hz in _AAC_RATES_HZ else 48_000
        self._channels = min(track.format.channels, 2)
        self._layout = "mono" if self._channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=self.rate_hz, layout=self._layout)
        self._stream.bit_rate = _AUDIO_BIT_RATE
        self._blocks = track.resampled(self.rate_hz, Mixer(self._channels))
        self._pending = np.zeros((0, self._channels), dtype=np.float32)
        self._position = 0

    def write_until(self, time_s: Fraction) -> None:
        """Encode up to a time, or to the end of the source."""
        wanted = int(time_s * self.rate_hz) - self._position
        while len(self._pending) < wanted and (block := next(self._blocks, None)) is not None:
            self._pending = np.concatenate([self._pending, block])
        piece, self._pending = self._pending[:wanted], self._pending[wanted:]
        if len(piece) == 0:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece.T), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base = self.rate_hz, Fraction(1, self.rate_hz)
        frame.pts = self._position
        self._container.mux(self._stream.encode(frame))
        self._position += len(piece)

    def finish(self, time_s: Fraction) -> None:
        """Encode the rest up to a time and close."""
        self.write_until(time_s)
        self._container.mux(self._stream.encode(None))
        self._blocks.close()


def _open_mp4(path: Path, options: dict[str, str]) -> av.container.OutputContainer:
    # FFmpeg takes the text before a colon for a protocol, except after a slash.
    return av.open(str(path.absolute()), "w", format="mp4", options=options)


def _remux(source: Path, target: Path) -> None:
    """Copy the packets of a fragmented file into a plain one with its index in front."""
    with (
        av.open(str(source.absolute())) as fragments,
        _open_mp4(target, {"movflags": "faststart", "movie_timescale": "48000"}) as plain,
    ):
        streams = {stream.index: plain.add_stream_from_template(stream) for stream in fragments.streams}
        for stream in fragments.streams:
            streams[stream.index].codec_context.codec_tag = stream.codec_context.codec_tag
        for packet in fragments.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                plain.mux(packet)
