"""Reading a portrait: pictures of all kinds that people have, as upright, opaque, 8-bit sRGB."""

import io
import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import pi_heif  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageOps

logger = logging.getLogger(__name__)

MAX_PIXELS: Final = 120_000_000
"""Larger pictures are refused before they are decoded: telephones make up to 108 megapixels, and the largest video
takes two of them. Decoding needs some 12 bytes a pixel."""

FORMATS: Final = ("PNG", "JPEG", "HEIF", "AVIF", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
"""What is tried. Others that Pillow knows run programs (EPS) or have no marks of their own and take anything (TGA)."""

_READABLE: Final = "PNG, JPEG, HEIC, AVIF, WebP, TIFF, BMP, GIF, JPEG 2000 or PPM"
_ALPHA_MODES: Final = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_TIFF_BITS: Final = 258
_TIFF_SAMPLE_FORMAT: Final = 339


def load_image(path: str | Path) -> Image.Image:
    """Read a picture as `as_rgb` does; of several (animations, pages) the first.

    Raises:
        ValueError: no such file, not a picture, a damaged one, or one of more than 120 megapixels; one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no such image: {path}")
    pi_heif.register_heif_opener()
    with warnings.catch_warnings():
        # Of many pixels, which are counted here, and of damaged tags, which do no harm.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=FORMATS)
        except Image.DecompressionBombError:
            raise _too_large(path) from None
        except Exception as error:
            raise ValueError(f"{path} is not an image that can be read: no {_READABLE}") from error
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(path)
            try:
                return as_rgb(image, name=str(path))
            except Exception as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(f"{path} is not an image that can be read: {reason}") from error


def as_rgb(image: Image.Image, *, name: str = "the image") -> Image.Image:
    """The picture upright by its EXIF tag, in sRGB by its colour profile, transparency over white, 8 bits.

    A profile that is damaged or not for such a picture is left out, which a warning of the log says.

    Args:
        image: of any mode. Integers of more than 8 bits are scaled by their full range; floating-point values are
            taken as [0, 1], or as 8-bit or 16-bit levels where they are larger.
        name: of the picture in the warning.

    Raises:
        ValueError: floating-point values that are none of these.
    """
    upright = ImageOps.exif_transpose(image)
    alpha = _alpha(upright)
    rgb = _to_srgb(_to_eight_bits(upright, _tiff_tags(image)), upright.info.get("icc_profile"), name)
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _too_large(path: Path) -> ValueError:
    return ValueError(f"{path} has more than {MAX_PIXELS // 10**6} megapixels: make it smaller")


def _alpha(image: Image.Image) -> Image.Image | None:
    """How opaque each pixel is (mode L); None if all are."""
    transparency = image.info.get("transparency")
    if image.mode in _ALPHA_MODES:
        return image.convert("RGBA").getchannel("A")
    if transparency is None or image.mode == "F":
        return None
    if image.mode.startswith("I"):
        # One level of 16 bits is clear, which Pillow cannot say in 8.
        return Image.fromarray(np.where(np.asarray(image) == transparency, 0, 255).astype(np.uint8))
    return image.convert("RGBA").getchannel("A")


def _to_eight_bits(image: Image.Image, tags: dict[int, Any]) -> Image.Image:
    """The colours in mode L, RGB, CMYK or LAB."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and tags.get(_TIFF_SAMPLE_FORMAT, (1,))[0] == 1:
            values = values.view(np.uint32)
        top = _full_scale(values, tags)
        levels = np.multiply(values, np.float32(255 / top), dtype=np.float32)
        return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    if image.mode in {"1", "L", "LA", "La"}:
        return (image.convert("LA") if image.mode == "La" else image).convert("L")
    if image.mode in {"CMYK", "LAB"}:
        return image
    return (image.convert("RGBA") if image.mode in _ALPHA_MODES else image).convert("RGB")


def _full_scale(values: np.ndarray, tags: dict[int, Any]) -> int:
    """The value that is white."""
    if values.dtype.kind == "f":
        peak = float(values.max())
        if not (np.isfinite(values).all() and peak <= 65535):
            raise ValueError(f"its floating-point values reach {peak:g}, they should lie in 0 … 1")
        return 1 if peak <= 1 else 255 if peak <= 255 else 65535
    if values.itemsize == 2:
        # 12 bits are stored as 16.
        bits = min(max(int(tags.get(_TIFF_BITS, (16,))[0]), 8), 16)
        return (1 << bits) - 1
    # 32 bits hold anything: the range that the values need.
    wide = 2**32 - 1 if values.dtype.kind == "u" else 2**31 - 1
    top = int(values.max())
    return 255 if top <= 255 else 65535 if top <= 65535 else wide


def _tiff_tags(image: Image.Image) -> dict[int, Any]:
    return dict(getattr(image, "tag_v2", {}))


def _to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Colours (L, RGB, CMYK or LAB) as RGB; without a profile Pillow's own formula."""
    try:
        if image.mode == "LAB":
            return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
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
    # Of greys the library's shortcut is up to ten levels off in the shadows; without it there are only 256 to do.
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE
    ramp = _apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), source, flags)
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
