"""Measures of generated talking faces, and their summary.

Every measure is given beside its controls: lip sync with another person's speech and without speech, colours against
other people's references, and all of them on the truth as the codec alone decodes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange

from bench.studies.generation import Generated, Scene
from bench.studies.intervals import bootstrap_mean
from bench.studies.talking_faces.measure import (
    colours_over_time,
    correlation,
    head_jumps,
    head_motion,
    identity_distance,
    mouth_opening,
    opening_jumps,
    part_colours,
    sharpness,
    track_head,
)
from bench.studies.talking_faces.performance import HeadMotion
from model.codecs.levels import levels_of, pixels_of
from model.codecs.vae import Autoencoder, decode_video, encode_video

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoScore:
    """One generated video."""

    index: int
    """Of the scene."""
    num_frames: int
    opening: list[float] = field(repr=False)
    """(T,) as measured."""
    r: float
    """Correlation of the measured opening with the opening of the speech."""
    r_others: float
    """Mean r of the measured opening with that of the other scenes' speech."""
    r_silent: float | None
    """r of the video made without sound with the speech's opening; None if none was made."""
    opening_error: float
    """Mean absolute error of the opening."""
    opening_ratio: float
    """Standard deviation of the opening, as measured over the truth."""
    identity: dict[str, float]
    """ΔE of each part's colour to the reference."""
    identity_others: float
    """Mean ΔE over parts and over other people's references."""
    motion_told: str
    motion_seen: str
    sharpness_ratio: float
    """Mean variance of the Laplacian over that of the codec-decoded truth."""
    jumps: tuple[float, float]
    """Change of the picture from frame 0, which is the portrait, to frame 1, and from 1 to 2; see `opening_jumps`."""
    head_jumps: tuple[float, float]
    """The head's shift between the same frames, in pixels of the layout."""
    wall_s: float
    num_forwards: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A set of videos in numbers; intervals are 95 % bootstrap over videos."""

    num_videos: int
    r_mean: tuple[float, float, float]
    """Mean, low, high."""
    r_median: float
    r_others: tuple[float, float, float]
    r_silent: tuple[float, float, float] | None
    opening_error: float
    opening_ratio: float
    identity: tuple[float, float, float]
    """Mean ΔE over parts to the own reference."""
    identity_others: tuple[float, float, float]
    motion_accuracy: float
    motion_confusion: dict[str, dict[str, int]]
    """Told, then seen, then how often."""
    sharpness_ratio: float
    jump_first: tuple[float, float, float]
    """From frame 0 to frame 1, in levels."""
    jump_second: tuple[float, float, float]
    """From frame 1 to frame 2."""
    head_jump_first: tuple[float, float, float]
    """From frame 0 to frame 1, in pixels of the layout."""
    head_jump_second: tuple[float, float, float]
    wall_s: float
    """Mean seconds a video."""
    num_forwards: float
    """Mean forwards a video."""


def score_videos(
    scenes: Sequence[Scene], videos: Sequence[Generated], silent: Sequence[Generated | None], codec: Autoencoder
) -> list[VideoScore]:
    """Measure videos of scenes of one length; `silent` holds each scene's video without sound, or None."""
    scores = []
    wanted = {scene.index: part_colours(scene.reference) for scene in scenes}
    for scene, video, mute in zip(scenes, videos, silent, strict=True):
        others = [other for other in scenes if other.index != scene.index]
        shift = track_head(video.frames, scene.reference)
        opening = mouth_opening(video.frames, scene.reference, shift)
        truth = scene.take.opening
        seen = colours_over_time(video.frames, shift)
        far = [np.mean(list(identity_distance(seen, wanted[other.index]).values())) for other in others]
        score = VideoScore(
            index=scene.index,
            num_frames=len(video.frames),
            opening=opening.round(4).tolist(),
            r=correlation(opening, truth),
            r_others=float(np.mean([correlation(opening, other.take.opening) for other in others])),
            r_silent=None if mute is None else correlation(mouth_opening(mute.frames, scene.reference), truth),
            opening_error=float(np.abs(opening - truth).mean()),
            opening_ratio=float(opening.std() / max(truth.std(), 1e-9)),
            identity=identity_distance(seen, wanted[scene.index]),
            identity_others=float(np.mean(far)),
            motion_told=scene.performance.motion.value,
            motion_seen=head_motion(shift).value,
            sharpness_ratio=float(
                sharpness(video.frames).mean() / sharpness(through_codec(scene.take.frames, codec)).mean()
            ),
            jumps=opening_jumps(video.frames),
            head_jumps=head_jumps(shift),
            wall_s=video.wall_s,
            num_forwards=video.num_forwards,
        )
        scores.append(score)
    return scores


def summarise(scores: Sequence[VideoScore]) -> Summary:
    """Means over videos."""
    silent = [score.r_silent for score in scores if score.r_silent is not None]
    counts = Counter((score.motion_told, score.motion_seen) for score in scores)
    return Summary(
        num_videos=len(scores),
        r_mean=bootstrap_mean([score.r for score in scores]),
        r_median=float(np.median([score.r for score in scores])),
        r_others=bootstrap_mean([score.r_others for score in scores]),
        r_silent=bootstrap_mean(silent) if silent else None,
        opening_error=float(np.mean([score.opening_error for score in scores])),
        opening_ratio=float(np.mean([score.opening_ratio for score in scores])),
        identity=bootstrap_mean([float(np.mean(list(score.identity.values()))) for score in scores]),
        identity_others=bootstrap_mean([score.identity_others for score in scores]),
        motion_accuracy=float(np.mean([score.motion_told == score.motion_seen for score in scores])),
        motion_confusion={
            told.value: {seen.value: counts[told.value, seen.value] for seen in HeadMotion} for told in HeadMotion
        },
        sharpness_ratio=float(np.mean([score.sharpness_ratio for score in scores])),
        jump_first=bootstrap_mean([score.jumps[0] for score in scores]),
        jump_second=bootstrap_mean([score.jumps[1] for score in scores]),
        head_jump_first=bootstrap_mean([score.head_jumps[0] for score in scores]),
        head_jump_second=bootstrap_mean([score.head_jumps[1] for score in scores]),
        wall_s=float(np.mean([score.wall_s for score in scores])),
        num_forwards=float(np.mean([score.num_forwards for score in scores])),
    )


def codec_ceiling(scenes: Sequence[Scene], codec: Autoencoder) -> list[Generated]:
    """The truth of each scene as the codec gives it back: the best that any model can do here."""
    return [
        Generated(clips=(), frames=through_codec(scene.take.frames, codec), wall_s=0.0, num_forwards=0)
        for scene in scenes
    ]


def through_codec(frames: Frames, codec: Autoencoder) -> Frames:
    """Frames (T, S, S, 3) encoded and decoded; the last is repeated for a length of 4k + 1."""
    padded = np.concatenate([frames, np.repeat(frames[-1:], -(len(frames) - 1) % 4, axis=0)])
    pixels = pixels_of(rearrange(torch.from_numpy(padded), "t h w c -> 1 c t h w"))
    decoded = decode_video(codec, encode_video(codec, pixels))[0, :, : len(frames)]
    return np.ascontiguousarray(rearrange(levels_of(decoded).cpu().numpy(), "c t h w -> t h w c"))
