"""Reading a portrait: pictures of all kinds that people have, as upright, opaque, 8-bit sRGB."""

import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pi_heif  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageOps

logger = logging.getLogger(__name__)

MAX_PIXELS: Final = 120_000_000
"""Larger pictures are refused before they are decoded: phones make up to 108 megapixels, and the largest video has two
megapixels. Decoding needs some 12 bytes a pixel."""

FORMATS: Final = ("PNG", "JPEG", "HEIF", "AVIF", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
"""The formats that are tried. Others in Pillow run programs (EPS), or have no signature and accept any file (TGA)."""

_READABLE: Final = "PNG, JPEG, HEIC, AVIF, WebP, TIFF, BMP, GIF, JPEG 2000 or PPM"
_ALPHA_MODES: Final = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_PHOTOMETRIC, _TIFF_PLANAR, _TIFF_SAMPLE_FORMAT = 258, 259, 262, 284, 339
_PNG_BITS: Final = {"L;2": 2, "L;4": 4}
_OVERSHOOT, _GLINTS = 1.1, 0.01
"""Scaling and sharpening leave floating-point pictures a little above white; one value in a hundred may be further."""
_EXACT: Final = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture and convert it with `as_rgb`; of several (animations, pages), the first.

    Args:
        path: the file.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        ValueError: no such file, not a picture, a damaged one, or one of more pixels than that; one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is not a file" if path.exists() else f"no such image: {path}")
    pi_heif.register_heif_opener()
    # Opened here: given a name, Pillow maps the file into memory, which scrambles a TIFF that is stored on its side.
    with path.open("rb") as file, warnings.catch_warnings():
        # Warnings of many pixels, which are counted here, and of damaged tags, which do no harm.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError:
            raise _too_large(path, max_pixels) from None
        except Exception as error:
            raise ValueError(f"{path} is not an image that can be read: no {_READABLE}") from error
        with image:
            if image.width * image.height > max_pixels:
                raise _too_large(path, max_pixels)
            try:
                return as_rgb(image, name=str(path))
            except Exception as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(f"{path} is not an image that can be read: {reason}") from error


def as_rgb(image: Image.Image, *, name: str = "the image") -> Image.Image:
    """The picture upright by its EXIF tag, in sRGB by its colour profile, transparency over white, 8 bits.

    A profile that is damaged, or meant for another kind of picture, is left out, and a warning is logged.

    Args:
        image: of any mode. Integers of more than 8 bits are scaled by their full range; floating-point values are
            taken as [0, 1], or as 8-bit or 16-bit levels where they are larger.
        name: of the picture in the warning.

    Raises:
        ValueError: floating-point values that are none of these, or a TIFF that Pillow misreads.
    """
    stored = _Samples.of(image)
    upright = ImageOps.exif_transpose(image)
    alpha = _alpha(upright, stored)
    rgb = _to_srgb(_to_eight_bits(upright, stored), upright.info.get("icc_profile"), name)
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _too_large(path: Path, max_pixels: int) -> ValueError:
    return ValueError(f"{path} has more than {max_pixels / 10**6:g} megapixels: make it smaller")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Samples:
    """How a file stores its greys, where Pillow's mode leaves that open."""

    bits: int | None = None
    """Bits of a sample."""
    signed: bool = False
    """Whether samples are signed integers."""
    white_is_zero: bool = False
    """Whether a TIFF says that 0 is white; Pillow inverts only samples of 8 bits and fewer."""

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """Read from a picture before its pixels are loaded: Pillow forgets the bits when it loads them."""
        if image.format == "PNG":
            return cls(bits=next((_PNG_BITS.get(tile.args) for tile in getattr(image, "tile", [])), None))
        if image.format == "PPM":
            # Pillow scales greys of more than 8 bits by the file's own white.
            return cls(bits=16)
        tags: dict[int, Any] = dict(getattr(image, "tag_v2", {}))
        bits = tags.get(_TIFF_BITS, (None,))
        white_is_zero = tags.get(_TIFF_PHOTOMETRIC) == 0
        planar = tags.get(_TIFF_PLANAR) == 2 and tags.get(_TIFF_COMPRESSION, 1) == 1
        if planar and (set(bits) != {8} or white_is_zero):
            # Pillow would read one byte a sample, with zero as black.
            raise ValueError("its channels lie one after the other, uncompressed and not in 8 bits")
        return cls(bits=bits[0], signed=tags.get(_TIFF_SAMPLE_FORMAT, (1,))[0] == 2, white_is_zero=white_is_zero)


def _alpha(image: Image.Image, stored: _Samples) -> Image.Image | None:
    """How opaque each pixel is (mode L); None if all are."""
    transparency = image.info.get("transparency")
    if image.mode in _ALPHA_MODES:
        return image.convert("RGBA").getchannel("A")
    if transparency is None or image.mode == "F":
        return None
    if image.mode.startswith("I"):
        # One 16-bit level is transparent, which Pillow cannot express in 8 bits.
        clear = transparency
    elif image.mode == "L" and stored.bits is not None:
        # Pillow scales the pixels to 8 bits, but not the transparent level.
        clear = transparency * 255 // ((1 << stored.bits) - 1)
    else:
        return image.convert("RGBA").getchannel("A")
    return Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))


def _to_eight_bits(image: Image.Image, stored: _Samples) -> Image.Image:
    """The colours in mode L, RGB, CMYK or LAB."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and not stored.signed:
            values = values.view(np.uint32)
        levels = np.multiply(values, np.float32(255 / _full_scale(values, stored)), dtype=np.float32)
        levels = levels.round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(255 - levels if stored.white_is_zero else levels)
    if image.mode in {"1", "L", "LA", "La"}:
        return (image.convert("LA") if image.mode == "La" else image).convert("L")
    if image.mode in {"CMYK", "LAB"}:
        return image
    return (image.convert("RGBA") if image.mode in _ALPHA_MODES else image).convert("RGB")


def _full_scale(values: np.ndarray, stored: _Samples) -> int:
    """The value that is white; where white is zero, the value that is black."""
    if values.dtype.kind == "f":
        peak = float(values.max())
        if np.isfinite(values).all() and peak <= _OVERSHOOT * 65535:
            allowed = _GLINTS * values.size
            return next(top for top in (1, 255, 65535) if np.count_nonzero(values > _OVERSHOOT * top) <= allowed)
        raise ValueError(f"its floating-point values reach {peak:g}, they should lie in 0 … 1")
    if values.itemsize == 2:
        # Samples of 12 bits are stored as 16.
        return (1 << min(max(stored.bits or 16, 8), 16)) - 1
    if stored.bits == 16:
        return 2**15 - 1 if stored.signed else 2**16 - 1
    # 32 bits may hold values of any range: take the smallest range that holds these.
    top = int(values.max())
    return 255 if top <= 255 else 65535 if top <= 65535 else 2**31 - 1 if stored.signed else 2**32 - 1


def _to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Colours (L, RGB, CMYK or LAB) as RGB; without a profile Pillow's own formula."""
    try:
        if image.mode == "LAB":
            # With the library's optimisation, dark reds come out up to 17 levels off.
            return _apply(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), _EXACT)
        if not profile:
            return image.convert("RGB")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) == image.mode:
            return _transformed(image, source)
        reason = f"it is for {space}, the picture is {image.mode}"
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
    logger.warning("%s: its colour profile is left out: %s", name, reason)
    return image.convert("RGB")


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    if image.mode != "L":
        return _apply(image, source, ImageCms.Flags.BLACKPOINTCOMPENSATION)
    # With the library's optimisation, dark greys come out up to ten levels off. Without it, only 256 levels are
    # converted.
    ramp = _apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), source, _EXACT)
    return Image.merge("RGB", [image.point(list(channel.tobytes())) for channel in ramp.split()])


def _apply(image: Image.Image, source: ImageCms.ImageCmsProfile, flags: ImageCms.Flags) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=flags,
    )
    assert converted is not None
    return converted
