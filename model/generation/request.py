"""The request for a video, checked before torch is imported and a model is loaded, which takes a minute."""

import argparse
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from model.codecs.image import AREAS, SIZE_MULTIPLE, check_fits, check_size, choose_size

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from model.generation.guidance import Guidance

MAX_STEPS: Final = 1000
"""Number of noise levels that samplers distinguish; more steps would only repeat them."""

_PROBE_BYTES: Final = 2**20
"""Bytes written to see whether the disk has room; the first clip needs about as much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a video is made; None is the model directory's default."""

    steps: int | None = None
    """Denoising steps of a clip."""
    guidance_scale: float | None = None
    """Of the text, and of the sound too where `audio_guidance_scale` is None; 1 turns guidance off."""
    audio_guidance_scale: float | None = None
    """Of the sound. Where the directory has two scales and only `guidance_scale` is given, it holds for both."""
    negative_prompt: str | None = None
    """What guidance leads away from."""
    seed: int = 0
    """The seed that all noise derives from."""
    height: int | None = None
    """Pixels, divisible by 32; given with `width`."""
    width: int | None = None
    """Pixels, divisible by 32; given with `height`."""
    area: int | None = None
    """Pixels of a frame, where no height and width are given."""
    threshold: float | None = None
    """τ of the codebook's clamp as a distance."""
    percentile: float | None = None
    """τ as a percentile of the training latents' distances."""

    def __post_init__(self) -> None:
        """Refuse impossible values, in one line."""
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"--steps must be at least 1 and at most {MAX_STEPS}, got {self.steps}")
        for option, scale in (
            ("--guidance-scale", self.guidance_scale),
            ("--audio-guidance-scale", self.audio_guidance_scale),
        ):
            if scale is not None and not math.isfinite(scale):
                raise ValueError(f"{option} must be a number, got {scale}")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"--seed must lie in -2^63 … 2^63 - 1, got {self.seed}")
        if self.threshold is not None and not 0 <= self.threshold < math.inf:
            raise ValueError(f"--threshold is a distance, 0 or more, got {self.threshold}")
        if self.percentile is not None and not 0 <= self.percentile <= 100:
            raise ValueError(f"--percentile must lie in 0 … 100, got {self.percentile}")

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Read the options that `options.add_sampling_options` adds.

        Raises:
            ValueError: an impossible size or number.
        """
        height, width, area = parse_size(options.size, options.area)
        if height is not None and width is not None:
            check_fits(height, width)
        names = (
            *("steps", "guidance_scale", "audio_guidance_scale", "negative_prompt"),
            *("seed", "threshold", "percentile"),
        )
        return cls(height=height, width=width, area=area, **{name: getattr(options, name) for name in names})

    def check_portrait(self, image: "Image", default_area: int) -> tuple[int, int]:
        """Height and width of a video of this picture.

        Args:
            image: the portrait.
            default_area: pixels of a frame where no size is asked for.

        Raises:
            ValueError: the picture is too long and thin; one line.
        """
        try:
            return choose_size(image, height=self.height, width=self.width, area=self.area, default_area=default_area)
        except ValueError as error:
            raise ValueError(f"--image is {image.width}x{image.height}: {error}") from error

    def guidance(self, default: float, audio_default: float | None) -> "Guidance":
        """The guidance, the defaults being the model directory's."""
        from model.generation.guidance import Guidance  # noqa: PLC0415 (it imports torch)

        if self.guidance_scale is None:
            audio = audio_default if self.audio_guidance_scale is None else self.audio_guidance_scale
            return Guidance.of(default, audio)
        return Guidance.of(self.guidance_scale, self.audio_guidance_scale)

    def num_steps(self, default: int) -> int:
        """Denoising steps of a clip, `default` being the model directory's."""
        return default if self.steps is None else self.steps


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoRequest:
    """One video, as it is asked for."""

    image: "Image | str | Path"
    """The first frame, and the pivot of every clip; fitted by scaling and a centre crop, never stretched."""
    audio: "Tensor | str | Path"
    """A file with sound, or a waveform (N,) at 16 kHz."""
    prompt: str
    """What happens in the video."""
    sampling: Sampling = Sampling()
    """How it is made."""


def parse_size(size: str | None, area: str | None) -> tuple[int | None, int | None, int | None]:
    """Height, width and area that `--size` and `--area` ask for.

    Raises:
        ValueError: one of them cannot be read, or there is no such size.
    """
    if size is not None:
        width, separator, height = size.partition("x")
        if not (separator and _is_number(height) and _is_number(width)):
            raise ValueError(f"--size must be WIDTHxHEIGHT, e.g. 704x1280, got {size!r}")
        check_size(int(height), int(width))
        return int(height), int(width), None
    if area is None:
        return None, None, None
    if area in AREAS:
        return None, None, AREAS[area]
    if not _is_number(area):
        raise ValueError(f"--area must be {', '.join(AREAS)} or a number of pixels, got {area!r}")
    pixels = int(area)
    if pixels < SIZE_MULTIPLE**2:
        raise ValueError(f"--area must be at least {SIZE_MULTIPLE}x{SIZE_MULTIPLE} pixels, got {area}")
    side = math.isqrt(pixels) // SIZE_MULTIPLE * SIZE_MULTIPLE
    check_size(side, side)
    check_fits(side, side)
    return None, None, pixels


def check_out(out: Path) -> None:
    """Check that a video can be written to a path, by writing beside it.

    Raises:
        ValueError: it cannot be written; one line.
    """
    if out.suffix.lower() != ".mp4":
        raise ValueError(f"--out must end in .mp4, got {out}")
    if not out.parent.is_dir():
        raise ValueError(f"--out: no such directory: {out.parent}")
    if out.is_dir():
        raise ValueError(f"--out: {out} is a directory")
    _check_writable(out.parent)


def check_new_directory(out: Path) -> None:
    """Check that a model directory can be written to a path.

    Raises:
        ValueError: something is there already, or the directory cannot be made; one line.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists and is not empty")
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise ValueError(f"--out: {existing} is not a directory")
    _check_writable(existing)


def check_codebook(codebook: Path | None) -> None:
    """Raise a ValueError if a codebook was named that is not there."""
    if codebook is not None and not codebook.is_file():
        raise ValueError(f"{codebook}: no such codebook")


def _check_writable(folder: Path) -> None:
    try:
        # Only writing tells: root may write anywhere, and a full disk takes nothing.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ValueError(f"--out: cannot write in {folder}: {error.strerror}") from error


def _is_number(text: str) -> bool:
    # `isdigit` alone accepts ² and other characters that are no digits to `int`. No size needs more than nine digits.
    return text.isascii() and text.isdigit() and len(text) < 10
