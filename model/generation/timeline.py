"""Which latent frames, pixel frames and sound each clip of a long video has (paper, Sec. 3.2).

All latents of a video form one timeline: latent 0 holds pixel frame 0, latent k ≥ 1 the pixel frames
4k−3 … 4k.

    clip 0   image  1  2 …                       27      28 latents, 109 pixel frames: the image is latent 0
    clip 1   pivot              26 27  28 29 …   52      pivot, 2 overlapping, 25 new: 100 new pixel frames
    clip 2   pivot                        51 52  53 …

The pivot of later clips is the image again. It has no position on the timeline: it is conditioning, is never
decoded and never shown. Overlapping latents keep the position and the sound that they had in the clip before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from model.codecs.geometry import latent_frames, pixel_frames


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipPlan:
    """One clip: the pivot, then overlapping latents, then new ones."""

    index: int
    """0 for the first clip."""
    overlap: range
    """Latents of the timeline that are copied from the clip before; empty in the first clip."""
    new: range
    """Latents of the timeline that this clip denoises."""
    decoded: range
    """Latents of the timeline that are decoded after this clip: new ones with speech; in clip 0 also the image."""
    frames: range
    """Pixel frames of the video that the clip adds, cut to the length of the speech."""

    @property
    def num_latents(self) -> int:
        """Latent frames of the clip, the pivot included."""
        return 1 + len(self.overlap) + len(self.new)

    @property
    def num_clean(self) -> int:
        """Latent frames that are given rather than denoised: the pivot and the overlap, which come first."""
        return 1 + len(self.overlap)

    @property
    def sounding(self) -> tuple[int, ...]:
        """Positions on the timeline of the latents after the pivot, in order: each gets the sound of its position."""
        return (*self.overlap, *self.new)


def num_clips(num_frames: int, *, clip_latents: int, overlap_latents: int) -> int:
    """Clips that a video of `num_frames` pixel frames takes."""
    remaining = latent_frames(num_frames) - clip_latents
    return 1 + max(0, -(-remaining // (clip_latents - 1 - overlap_latents)))


def plan_clips(num_frames: int, *, clip_latents: int, overlap_latents: int) -> Iterator[ClipPlan]:
    """Plan a video of `num_frames` pixel frames.

    Every clip is denoised at its full length, as in training; the last one is decoded only as far as the
    speech goes.

    Raises:
        ValueError: no frames, or a clip that has no room for new latents.
    """
    if num_frames < 1:
        raise ValueError(f"a video has at least one frame, got {num_frames}")
    if overlap_latents < 0 or clip_latents < overlap_latents + 2:
        raise ValueError(
            f"a clip of {clip_latents} latents has no room for new ones behind a pivot "
            f"and {overlap_latents} overlapping latents"
        )
    total = latent_frames(num_frames)
    first_frame = 0
    overlap, new = range(0), range(1, clip_latents)
    for index in range(num_clips(num_frames, clip_latents=clip_latents, overlap_latents=overlap_latents)):
        decoded = range(new.start if index else 0, min(new.stop, total))
        last_frame = min(pixel_frames(decoded.stop), num_frames)
        frames = range(first_frame, last_frame)
        yield ClipPlan(index=index, overlap=overlap, new=new, decoded=decoded, frames=frames)
        first_frame = last_frame
        overlap = range(new.stop - overlap_latents, new.stop)
        new = range(new.stop, new.stop + clip_latents - 1 - overlap_latents)
