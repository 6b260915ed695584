"""Sound files made on the spot, and the right sound of each: both readers (model, curation) are tested with them.

Every file has a tone of 440 Hz in the track and channel that should be heard. A second track or channel that must not
be heard has 1000 Hz.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

TONE_HZ, WRONG_HZ = 440.0, 1000.0
AMPLITUDE = 0.4
SECONDS = 2.0
FPS = 25


@dataclass(frozen=True, kw_only=True)
class Track:
    """A sound track to be written."""

    codec: str = "aac"
    rate_hz: int = 48_000
    layout: str = "mono"
    gains: Sequence[float] = (1.0,)
    """Gain of the tone in each channel."""
    tone_hz: float = TONE_HZ
    disposition: Disposition | None = None
    title: str = ""
    start_s: float = 0.0
    damage: Callable[[bytes], bytes] | None = None
    """Changes each packet."""

    def samples(self, seconds: float = SECONDS) -> np.ndarray:
        """(N, C) fp32."""
        tone = AMPLITUDE * np.sin(2 * np.pi * self.tone_hz * np.arange(round(seconds * self.rate_hz)) / self.rate_hz)
        samples: np.ndarray = (tone[:, None] * np.asarray(self.gains)).astype(np.float32)
        return samples


@dataclass(frozen=True, kw_only=True)
class SoundFile:
    """A file, and what a reader should find in it."""

    name: str
    make: Callable[[Path], Path]
    """Writes it into a folder."""
    level: float = AMPLITUDE
    """Amplitude of the tone in mono."""
    distortion_db: float = -50.0
    """Upper bound of the power of everything else, relative to the tone."""
    starts_s: float = 0.0
    """When the sound begins on the timeline of the pictures; a reader without a timeline begins there."""
    seconds: float = SECONDS
    slack_s: float = 0.0
    """What the codec may add to the end; 0 for lossless ones."""
    num_joins: int = 0
    """Joins in the sound, where another file or rate begins; the tone may be disturbed there."""
    has_pictures: bool = True
    refused: bool = False


def write_media(path: Path, *tracks: Track, pictures: bool = True, start_s: float = 0.0) -> Path:
    """Write tracks of sound, interleaved, under grey pictures."""
    with av.open(str(path), "w") as container:
        codec = {".webm": "libvpx", ".flv": "flv"}.get(path.suffix, "mpeg4")
        video = container.add_stream(codec, rate=FPS) if pictures else None
        streams = [_add_track(container, track) for track in tracks]
        packets = [packet for pair in zip(streams, tracks, strict=True) for packet in _encode(*pair, start_s)]
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            packets += list(_pictures(video, start_s))
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            container.mux(packet)
    return path


def _add_track(container: av.container.OutputContainer, track: Track) -> av.AudioStream:
    stream = container.add_stream(track.codec, rate=track.rate_hz, layout=track.layout)
    if track.disposition is not None:
        stream.disposition = track.disposition
    if track.title:
        stream.metadata["title"] = track.title
    if track.codec in {"aac", "ac3", "libopus", "libmp3lame"}:
        stream.bit_rate = 192_000 * max(len(track.gains) // 2, 1)
    return stream


def _encode(stream: av.AudioStream, track: Track, start_s: float) -> list[av.Packet]:
    samples = np.ascontiguousarray(track.samples()).reshape(1, -1)
    whole = av.AudioFrame.from_ndarray(samples, format="flt", layout=track.layout)
    whole.sample_rate, whole.time_base = track.rate_hz, Fraction(1, track.rate_hz)
    whole.pts = 0
    context = stream.codec_context
    fit = av.AudioResampler(format=context.format, rate=track.rate_hz, frame_size=context.frame_size or 1024)
    packets = []
    for frame in [*fit.resample(whole), *fit.resample(None), None]:
        for packet in stream.encode(frame):
            shift = round((start_s + track.start_s) / packet.time_base)
            if track.damage is not None and packet.size:
                replaced = av.Packet(track.damage(bytes(packet)))
                replaced.stream, replaced.time_base = packet.stream, packet.time_base
                replaced.pts, replaced.dts, replaced.duration = packet.pts, packet.dts, packet.duration
                packet = replaced  # noqa: PLW2901
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packets.append(packet)
    return packets


def _pictures(video: av.VideoStream, start_s: float) -> list[av.Packet]:
    packets = []
    for number in range(round(SECONDS * FPS)):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 100 + number, np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += video.encode(frame)
    packets += video.encode(None)
    for packet in packets:
        shift = round(start_s / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
    return packets


def _media(name: str, *tracks: Track) -> Callable[[Path], Path]:
    return lambda folder: write_media(folder / name, *tracks)


def _without_decoder(folder: Path) -> Path:
    """A file whose first track has an unknown codec, like Apple's APAC."""
    path = write_media(folder / "apac.mp4", Track(tone_hz=WRONG_HZ), Track())
    head, tail = path.read_bytes().split(b"mp4a", 1)
    path.write_bytes(head + b"apac" + tail.replace(b"esds", b"dapa", 1))
    return path


def _rate_change(folder: Path) -> Path:
    """A stream that changes from 48 kHz stereo to 44.1 kHz mono."""
    first = write_media(folder / "a.ts", Track(layout="stereo", gains=(1, 1)))
    second = write_media(folder / "b.ts", Track(rate_hz=44_100), start_s=SECONDS)
    joined = folder / "rate_change.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    return joined


def _joined_mp3(folder: Path) -> Path:
    """Three files laid end to end, as many people do."""
    parts = [
        write_media(folder / f"{number}.mp3", track, pictures=False)
        for number, track in enumerate(
            [
                Track(codec="libmp3lame", layout="stereo", gains=(1, 1)),
                Track(codec="libmp3lame", rate_hz=44_100),
                Track(codec="libmp3lame", rate_hz=22_050),
            ]
        )
    ]
    joined = folder / "joined.mp3"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def _random(content: bytes) -> bytes:
    return np.random.default_rng(len(content)).integers(0, 256, len(content), dtype=np.uint8).tobytes()


def _text(folder: Path) -> Path:
    (folder / "text.wav").write_text("no sound at all")
    return folder / "text.wav"


PCM = "pcm_s16le"
STEREO: tuple[float, ...] = (1, 1)

SOUND_FILES = (
    SoundFile(name="aac in mkv", make=_media("a.mkv", Track()), slack_s=0.05),
    SoundFile(name="aac 44.1 kHz in mkv", make=_media("a.mkv", Track(rate_hz=44_100)), slack_s=0.05),
    SoundFile(
        name="aac in mp4", make=_media("a.mp4", Track(layout="stereo", gains=STEREO)), slack_s=0.05, distortion_db=-45
    ),
    SoundFile(name="aac in flv", make=_media("a.flv", Track(rate_hz=44_100)), slack_s=0.1),
    SoundFile(name="aac in ts", make=_media("a.ts", Track()), slack_s=0.1),
    SoundFile(name="pcm in mkv", make=_media("a.mkv", Track(codec=PCM, rate_hz=44_100)), distortion_db=-70),
    SoundFile(name="24 bits in mov", make=_media("a.mov", Track(codec="pcm_s24le")), distortion_db=-70),
    SoundFile(name="floats in mkv", make=_media("a.mkv", Track(codec="pcm_f32le")), distortion_db=-70),
    SoundFile(name="8 bits in avi", make=_media("a.avi", Track(codec="pcm_u8", rate_hz=16_000)), distortion_db=-35),
    SoundFile(name="mp3 in avi", make=_media("a.avi", Track(codec="libmp3lame")), slack_s=0.15),
    SoundFile(name="planar alac in mov", make=_media("a.mov", Track(codec="alac")), distortion_db=-70),
    SoundFile(name="ac3 in ts", make=_media("a.ts", Track(codec="ac3")), slack_s=0.1),
    SoundFile(name="opus in webm", make=_media("a.webm", Track(codec="libopus")), slack_s=0.05, distortion_db=-35),
    SoundFile(
        name="commentary first",
        make=_media(
            "a.mkv",
            Track(tone_hz=WRONG_HZ, disposition=Disposition.comment),
            Track(disposition=Disposition.default),
        ),
        slack_s=0.05,
    ),
    SoundFile(
        name="commentary called the default",
        make=_media(
            "a.mkv",
            Track(tone_hz=WRONG_HZ, disposition=Disposition.comment | Disposition.default),
            Track(disposition=Disposition(0)),
        ),
        slack_s=0.05,
    ),
    SoundFile(
        name="commentary by its title",
        make=_media("a.mkv", Track(tone_hz=WRONG_HZ, title="Director's commentary"), Track()),
        slack_s=0.05,
    ),
    SoundFile(
        name="a director's cut is no commentary",
        make=_media("a.mkv", Track(title="Director's cut"), Track(tone_hz=WRONG_HZ)),
        slack_s=0.05,
    ),
    SoundFile(
        name="the default is the second",
        make=_media(
            "a.mkv",
            Track(tone_hz=WRONG_HZ, layout="stereo", gains=STEREO, disposition=Disposition(0)),
            Track(disposition=Disposition.default),
        ),
        slack_s=0.05,
    ),
    SoundFile(name="no decoder for the first", make=_without_decoder, slack_s=0.05),
    SoundFile(
        name="rubbish in the first",
        make=_media("a.mkv", Track(codec="ac3", tone_hz=WRONG_HZ, damage=_random), Track()),
        slack_s=0.05,
    ),
    SoundFile(
        name="5.1, speech in the centre",
        make=_media("a.mkv", Track(codec="flac", layout="5.1", gains=(0, 0, 1, 0, 0, 0))),
        # FFmpeg's matrix, scaled by its sum: 1 / (1 + 2·√½ + 2·½).
        level=AMPLITUDE / (2 + 2**0.5),
        distortion_db=-70,
    ),
    SoundFile(
        name="7.1, speech in front",
        make=_media("a.mkv", Track(layout="7.1", gains=(1, 1, 0, 0, 0, 0, 0, 0))),
        level=AMPLITUDE * 2**0.5 / (3 + 2**0.5),
        slack_s=0.05,
    ),
    SoundFile(name="stereo", make=_media("a.mkv", Track(codec=PCM, layout="stereo", gains=STEREO)), distortion_db=-70),
    SoundFile(
        name="stereo, one side",
        make=_media("a.mkv", Track(codec=PCM, layout="stereo", gains=(0, 1))),
        level=AMPLITUDE / 2,
        distortion_db=-65,
    ),
    SoundFile(
        name="antiphase",
        make=_media("a.mkv", Track(codec=PCM, layout="stereo", gains=(1, -1))),
        distortion_db=-70,
    ),
    SoundFile(
        name="antiphase, one side louder",
        make=_media("a.mkv", Track(codec=PCM, layout="stereo", gains=(0.95, -1))),
        distortion_db=-70,
    ),
    SoundFile(name="late", make=_media("a.mkv", Track(codec=PCM, start_s=0.5)), starts_s=0.5, distortion_db=-70),
    SoundFile(name="changes its rate", make=_rate_change, seconds=2 * SECONDS, slack_s=0.2, num_joins=1),
    SoundFile(
        name="joined mp3s",
        make=_joined_mp3,
        seconds=3 * SECONDS,
        slack_s=0.4,
        num_joins=2,
        has_pictures=False,
    ),
    SoundFile(
        name="nothing but commentary",
        make=_media("a.mkv", Track(disposition=Disposition.comment)),
        refused=True,
    ),
    SoundFile(name="no sound", make=_media("a.mkv"), refused=True),
    SoundFile(name="not media", make=_text, refused=True),
)
