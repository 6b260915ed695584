"""Cut the kept clips out of the source: H.264 video, sample-exact 16-bit sound."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import soundfile

from curation.clip.schema import Clip, Payload, Source
from curation.media import Cut, CutVideo, Difference, check_sound, check_video, cut_clips, read_audio

STAGE = "export"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """How kept clips are written."""

    crf: int = 18
    """x264 quality where the picture has to be encoded: visually lossless."""
    preset: str = "veryfast"
    """x264 speed; encoding is the largest cost of a kept clip."""
    audio_rate_hz: int | None = None
    """Sample rate of the sound; None keeps the source's own samples untouched."""


class Export:
    """Fill in the payloads of a source's kept clips, in one decode of the file, and check them against the scene pass.

    Video is copied instead of encoded only where the copy is exact; rejected clips cost nothing. A clip whose file is
    not what its record says is rejected.
    """

    def __init__(self, config: ExportConfig) -> None:
        self.config = config

    def __call__(self, source: Source) -> Source:
        """The source; its kept clips with their mp4 and, unless their audio was dropped, their wav."""
        assert source.media is not None
        kept = [clip for clip in source.clips if clip.kept]
        cuts = [Cut(clip.start_s, clip.end_s, clip.crop) for clip in kept]
        videos = cut_clips(source.media.path, cuts, crf=self.config.crf, preset=self.config.preset)
        done = {clip.key: self._with_payload(clip, video) for clip, video in zip(kept, videos, strict=True)}
        return replace(source, clips=tuple(done.get(clip.key, clip) for clip in source.clips))

    def _with_payload(self, clip: Clip, video: CutVideo | None) -> Clip:
        assert clip.stats is not None, "clips are made after the scene pass"
        times_s = clip.stats.times_s.tolist()
        if video is None:
            return clip.reject(STAGE, "num_frames", 0.0, float(len(times_s)))
        payload = self._payload(clip, video)
        difference = _difference(payload, times_s, clip.duration_s)
        if difference is not None:
            return clip.reject(STAGE, difference.rule, difference.value, difference.expected)
        return replace(clip, payload=payload)

    def _payload(self, clip: Clip, video: CutVideo) -> Payload:
        wav, num_samples, rate = None, 0, 0
        if clip.has_audio:
            samples, rate = read_audio(
                clip.media.path, clip.start_s, clip.end_s, sample_rate_hz=self.config.audio_rate_hz, mono=False
            )
            wav, num_samples = _wav(samples, rate), len(samples)
        return Payload(
            mp4=video.mp4,
            wav=wav,
            num_frames=video.num_frames,
            num_audio_samples=num_samples,
            audio_rate_hz=rate,
            stream_copied=video.stream_copied,
        )


def _difference(payload: Payload, times_s: Sequence[float], duration_s: float) -> Difference | None:
    """The first difference between the exported files and what the scene pass saw and the record will say."""
    if payload.num_frames != len(times_s):
        return Difference(rule="num_frames", value=float(payload.num_frames), expected=float(len(times_s)))
    difference = check_video(payload.mp4, times_s)
    if difference is not None or payload.wav is None:
        return difference
    return check_sound(payload.wav, round(duration_s * payload.audio_rate_hz), payload.audio_rate_hz)


def _wav(samples: npt.NDArray[np.int16], rate: int) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format="WAV", subtype="PCM_16")
    return sink.getvalue()
