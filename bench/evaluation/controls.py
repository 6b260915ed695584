"""Controls: inputs made wrong on purpose. They show each metric's floor, and whether it tells right from wrong.

A shift or a shuffle changes the sound, `frozen` the pictures, `other-identity` the reference image. A control depends
on the samples alone, so it is the same for every method, machine and number of workers. A sample without a wav is
never a donor of sound, but it still receives another sample's, and shifts move the sound of its video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile

from bench.metrics.metric import Input, Metric, NoValueError, VideoInput
from bench.metrics.timing import frame_rate, shown_times
from bench.metrics.video_sound import hear
from bench.samples.samples import Sample
from curation.media import MediaError, iter_frames

SHUFFLED, FROZEN, OTHER_IDENTITY = "shuffled-audio", "frozen", "other-identity"
SHIFTS_FRAMES = {"shift+5": 5, "shift-5": -5, "shift+15": 15, "shift-15": -15}
"""Frames at 25 fps by which the sound is delayed (negative: advanced); the sound wraps around at its ends."""
CONTROLS = (SHUFFLED, *SHIFTS_FRAMES, FROZEN, OTHER_IDENTITY)
SHIFT_FPS = 25
RATE_HZ = 22_050
"""Of the sound that controls write: a frame has exactly 882 samples, so shifts are exact."""


def touches(control: str, metric: Metric) -> bool:
    """Whether the control changes anything that the metric looks at."""
    if control == FROZEN:
        return True
    return (Input.IMAGE if control == OTHER_IDENTITY else Input.AUDIO) in metric.inputs


def donors(samples: Mapping[str, Sample], control: str) -> dict[str, Sample]:
    """Sample → the donor whose sound or image it is given instead of its own.

    Samples are ordered by the hashes of their ids; the donor is the next one that has a wav, or an image.

    Raises:
        ValueError: fewer than two samples have a wav, or an image.
    """
    if control not in {SHUFFLED, OTHER_IDENTITY}:
        return {}
    having = [s for s in samples.values() if (s.audio if control == SHUFFLED else s.image) is not None]
    if len(having) < 2:
        what = "a wav" if control == SHUFFLED else "an image"
        raise ValueError(f"the control {control!r} needs at least two samples with {what}")
    order = sorted(samples, key=_digest)
    ring = [samples[id_] for id_ in order if samples[id_] in having]
    return {id_: _next(ring, order.index(id_), order) for id_ in order}


def make(control: str, video: VideoInput, donor: Sample | None, folder: Path) -> VideoInput:
    """The input under a control; files that it needs are written into `folder`.

    Raises:
        NoValueError: the video has no sound to shift or to replace.
        MediaError: the video cannot be read.
    """
    if control == OTHER_IDENTITY:
        assert donor is not None, "planned with a donor"
        return replace(video, sample=replace(video.sample, image=donor.image))
    if control == FROZEN:
        return _frozen(video, folder)
    own = hear(video, RATE_HZ)
    wav = folder / f"{control}.wav"
    if control == SHUFFLED:
        assert donor is not None, "planned with a donor"
        other = hear(replace(video, audio=donor.audio), RATE_HZ, end_s=donor.duration_s)
        sound = np.resize(other, len(own))
    else:
        sound = np.roll(own, SHIFTS_FRAMES[control] * RATE_HZ // SHIFT_FPS)
    soundfile.write(str(wav), sound, RATE_HZ, subtype="PCM_16")
    return replace(video, audio=wav)


def check(names: Sequence[str]) -> tuple[str, ...]:
    """The controls of these names, `all` meaning every one.

    Raises:
        ValueError: a name is unknown.
    """
    wanted = CONTROLS if "all" in names else tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in CONTROLS:
            raise ValueError(f"unknown control {name!r}; there are {', '.join(CONTROLS)}, or all")
    return wanted


def _frozen(video: VideoInput, folder: Path) -> VideoInput:
    """A video of the same length and sound that shows the first frame throughout."""
    try:
        audio = folder / "own.wav"
        soundfile.write(str(audio), hear(video, RATE_HZ), RATE_HZ, subtype="PCM_16")
    except NoValueError:
        audio = None
    first = next(iter(iter_frames(str(video.path))), None)
    if first is None:
        raise MediaError("undecodable", str(video.path))
    path = folder / "frozen.mp4"
    write_still(path, first.image, len(shown_times(video.path)), frame_rate(video.path))
    return replace(video, path=path, audio=audio)


def write_still(path: Path, image: npt.NDArray[np.uint8], num_frames: int, fps: float) -> None:
    """Write a video that repeats one picture `(H, W, 3)` BGR."""
    height, width = (side - side % 2 for side in image.shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "ultrafast"}
        stream.codec_context.thread_count = 1
        picture = np.ascontiguousarray(image[:height, :width])
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def _digest(id_: str) -> str:
    return hashlib.sha256(id_.encode()).hexdigest()


def _next(ring: Sequence[Sample], place: int, order: Sequence[str]) -> Sample:
    places = {sample.id: order.index(sample.id) for sample in ring}
    return next((sample for sample in ring if places[sample.id] > place), ring[0])
