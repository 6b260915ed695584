import io
import logging
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from model.media.portrait import MAX_PIXELS, as_rgb, load_image
from tests.worlds.heic import heic_of

RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
"""Grey from black to white."""


def levels(path: Path) -> np.ndarray:
    return np.asarray(load_image(path)).astype(int)


def chart() -> np.ndarray:
    """(64, 96, 3): smooth colours, so that no codec has much to lose."""
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([60 + x, 40 + 2 * y, 200 - x], axis=-1).astype(np.uint8)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    wide = RAMP.astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "grey.png")
    tifffile.imwrite(tmp_path / "little.tif", wide, byteorder="<")
    tifffile.imwrite(tmp_path / "big.tif", wide, byteorder=">")
    tifffile.imwrite(tmp_path / "int32.tif", wide.astype(np.int32))
    tifffile.imwrite(tmp_path / "uint32.tif", wide.astype(np.uint32) * 65537)
    (tmp_path / "grey.pgm").write_bytes(b"P5 256 16 65535\n" + wide.astype(">u2").tobytes())
    Image.fromarray(wide).save(tmp_path / "grey.jp2")
    for name in ("grey.png", "little.tif", "big.tif", "int32.tif", "uint32.tif", "grey.pgm", "grey.jp2"):
        assert np.abs(levels(tmp_path / name) - RAMP[..., None]).max() <= 1, name


def test_dark_greys_of_sixteen_bits_stay_dark(tmp_path: Path) -> None:
    (tmp_path / "dark.pgm").write_bytes(b"P5 256 16 65535\n" + RAMP.astype(">u2").tobytes())
    assert levels(tmp_path / "dark.pgm").max() <= 1


def test_sixteen_bits_with_a_sign_reach_white(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "int16.tif", (RAMP.astype(np.uint16) * 257 // 2).astype(np.int16))
    assert np.abs(levels(tmp_path / "int16.tif") - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "values", [RAMP, RAMP.astype(np.uint16) * 257, (RAMP / 255).astype(np.float32)], ids=["8", "16", "float"]
)
def test_greys_whose_white_is_zero_are_turned_round(
    tmp_path: Path, values: np.ndarray, compression: str | None
) -> None:
    tifffile.imwrite(tmp_path / "negative.tif", values, photometric="miniswhite", compression=compression)
    assert np.abs(levels(tmp_path / "negative.tif") - (255 - RAMP.astype(int))[..., None]).max() <= 1


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_channels_one_after_the_other_are_read_or_refused(tmp_path: Path, byteorder: Literal["<", ">"]) -> None:
    def planar(name: str, channels: np.ndarray, compression: str | None = None) -> Path:
        tifffile.imwrite(
            tmp_path / name,
            np.moveaxis(channels, -1, 0),
            photometric="rgb",
            planarconfig="separate",
            byteorder=byteorder,
            compression=compression,
        )
        return tmp_path / name

    wide = chart().astype(np.uint16) * 257
    for path in (planar("8.tif", chart()), planar("zip.tif", wide, "zlib")):
        assert np.abs(levels(path) - chart()).max() <= 1, path
    with pytest.raises(ValueError, match="its channels lie one after the other"):
        load_image(planar("16.tif", wide))


def test_colours_of_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    wide = chart().astype(np.uint16) * 257
    write_png(tmp_path / "rgb.png", wide.astype(">u2").tobytes(), 96, 64, depth=16, colour_type=2)
    tifffile.imwrite(tmp_path / "rgb.tif", wide, photometric="rgb")
    for name in ("rgb.png", "rgb.tif"):
        assert np.abs(levels(tmp_path / name) - chart()).max() <= 1, name


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_is_scaled(tmp_path: Path, top: float) -> None:
    tifffile.imwrite(tmp_path / "float.tif", (RAMP / 255 * top).astype(np.float32))
    assert np.abs(levels(tmp_path / "float.tif") - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize(("top", "glint"), [(1.0, 1.004), (1.0, 5.0), (255.0, 256.0), (65535.0, 65600.0)])
def test_floating_point_may_pass_its_white(tmp_path: Path, top: float, glint: float) -> None:
    values = (RAMP / 255 * top).astype(np.float32)
    values[0, -1] = glint
    tifffile.imwrite(tmp_path / "float.tif", values)
    assert np.abs(levels(tmp_path / "float.tif") - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize("top", [1e9, np.nan, np.inf])
def test_floating_point_without_sense_is_refused(tmp_path: Path, top: float) -> None:
    values = (RAMP / 255).astype(np.float32)
    values[0, 0] = top
    tifffile.imwrite(tmp_path / "float.tif", values)
    with pytest.raises(ValueError, match="floating-point values"):
        load_image(tmp_path / "float.tif")


def test_transparency_of_every_mode_lies_over_white(tmp_path: Path) -> None:
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    red.paste((255, 0, 0, 0), (0, 0, 4, 8))
    red.save(tmp_path / "rgba.png")
    red.quantize(4).save(tmp_path / "palette.png")
    red.save(tmp_path / "rgba.webp", lossless=True)
    red.save(tmp_path / "red.gif")
    for name in ("rgba.png", "palette.png", "rgba.webp", "red.gif"):
        assert levels(tmp_path / name)[0, [0, 7]].tolist() == [[255, 255, 255], [255, 0, 0]], name
    grey = Image.new("LA", (8, 8), (100, 0))
    grey.paste((100, 255), (4, 0, 8, 8))
    grey.save(tmp_path / "la.png")
    wide = np.full((8, 8), 100 * 257, np.uint16)
    wide[:, :4] = 7
    Image.fromarray(wide).save(tmp_path / "clear.png", transparency=7)
    for name in ("la.png", "clear.png"):
        assert levels(tmp_path / name)[0, [0, 7]].tolist() == [[255] * 3, [100] * 3], name


@pytest.mark.parametrize(("depth", "row"), [(1, 0b01010101), (2, 0b00011011), (4, 0x01)])
def test_the_clear_level_of_few_bits_lies_over_white(tmp_path: Path, depth: int, row: int) -> None:
    rows = bytes([row] * 8)
    path = write_png(tmp_path / "few.png", rows, 8 // depth, 8, depth=depth, clear=1)
    expected = [row >> shift & (1 << depth) - 1 for shift in range(8 - depth, -1, -depth)]
    assert levels(path)[0, :, 0].tolist() == [255 if v == 1 else v * 255 // ((1 << depth) - 1) for v in expected]


def test_modes_of_scans_and_print(tmp_path: Path) -> None:
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    assert levels(tmp_path / "bits.png").min() == 255
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert np.abs(levels(tmp_path / "print.jpg")[0, 0] - (255, 0, 0)).max() <= 3
    lab = ImageCms.profileToProfile(
        Image.fromarray(chart()), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(np.asarray(as_rgb(lab)).astype(int) - chart()).max() <= 4


# Display P3's primaries, adapted to ICC's white.
DISPLAY_P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}


def display_p3() -> bytes:
    """sRGB's profile with other primaries."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", profile[132 + 12 * number : 144 + 12 * number])
        if name in DISPLAY_P3:
            fixed = [round(value * 65536) for value in DISPLAY_P3[name]]
            profile[offset + 8 : offset + 20] = struct.pack(">3i", *fixed)
    return bytes(profile)


def grey_of_gamma(gamma: float) -> bytes:
    """A profile of greys with a pure power for its curve."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    first = 128 + 4 + 2 * 12
    table = struct.pack(">I4sII4sII", 2, b"wtpt", first, len(white), b"kTRC", first + len(white), len(curve))
    content = table + white + curve
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + len(content))
    head[8:24] = bytes([2, 0x40, 0, 0]) + b"mntr" + b"GRAY" + b"XYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(head) + content


def test_display_p3_becomes_srgb(tmp_path: Path) -> None:
    # Display P3 (234, 51, 35) is sRGB's pure red (Apple's and the W3C's example), greys stay.
    picture = np.full((16, 32, 3), 128, np.uint8)
    picture[:, :16] = 234, 51, 35
    for name in ("p3.png", "p3.webp", "p3.avif", "p3.tif"):
        Image.fromarray(picture).save(tmp_path / name, icc_profile=display_p3(), lossless=True, quality=100)
        found = levels(tmp_path / name)
        assert np.abs(found[8, 4] - (255, 0, 0)).max() <= 3, name
        assert np.abs(found[8, 28] - 128).max() <= 2, name
    clear = Image.fromarray(picture).convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png", icc_profile=display_p3())
    assert levels(tmp_path / "clear.png").min() == 255


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(chart()).save(tmp_path / "srgb.png", icc_profile=profile)
    assert np.abs(levels(tmp_path / "srgb.png") - chart()).max() <= 1


def test_profiles_of_grey_pictures_are_followed(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "linear.png", icc_profile=grey_of_gamma(1.0))
    linear = RAMP[0] / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(levels(tmp_path / "linear.png")[0, :, 0] - expected).max() <= 2
    Image.fromarray(RAMP).save(tmp_path / "colours.png", icc_profile=display_p3())
    assert np.abs(levels(tmp_path / "colours.png") - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize("profile", [b"nothing", display_p3()[:300], grey_of_gamma(2.2)])
def test_a_profile_that_does_not_fit_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, profile: bytes
) -> None:
    Image.fromarray(chart()).save(tmp_path / "odd.png", icc_profile=profile)
    with caplog.at_level(logging.WARNING, logger="model"):
        assert np.abs(levels(tmp_path / "odd.png") - chart()).max() <= 1
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["its colour profile is left out"]


def test_heic_and_avif_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic_of(chart()))
    Image.fromarray(chart()).save(tmp_path / "a.avif", quality=95)
    for name in ("a.heic", "a.avif"):
        assert np.abs(levels(tmp_path / name) - chart()).mean() < 2, name
    (tmp_path / "turned.heic").write_bytes(heic_of(chart(), quarter_turns=1))
    assert np.abs(levels(tmp_path / "turned.heic") - np.rot90(chart())).mean() < 2
    # By its content, whatever it is called.
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg").size == (96, 64)


def test_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert np.abs(levels(tmp_path / name)[0, 0] - (255, 0, 0)).max() <= 2, name


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a tag of EXIF turns upright."""
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("turned", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path: Path, turned: int) -> None:
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48], upright[:32, 48:], upright[32:, :48] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    image = Image.fromarray(stored_as(upright, turned))
    exif = image.getexif()
    exif[0x0112] = turned
    for name in ("a.jpg", "a.png", "a.webp", "a.tif"):
        image.save(tmp_path / name, exif=exif, quality=100)
        assert np.abs(levels(tmp_path / name)[8::48, 8::72] - upright[8::48, 8::72]).max() < 12, name


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "I;16", "CMYK", "RGBA"])
def test_a_tiff_of_any_mode_is_turned_upright(tmp_path: Path, mode: str, turned: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    stored = stored_as(grey, turned)
    zero = np.zeros_like(stored)
    values, kind = {
        "L": (stored, "minisblack"),
        "I;16": (stored.astype(np.uint16) * 257, "minisblack"),
        "CMYK": (np.dstack([255 - stored] * 3 + [zero]), "separated"),
        "RGBA": (np.dstack([stored] * 3 + [255 - zero]), "rgb"),
    }[mode]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=kind, extratags=[(274, 3, 1, turned, True)])
    assert np.abs(levels(tmp_path / "a.tif") - grey[..., None]).max() <= 1


def write_png(
    path: Path, rows: bytes, width: int, height: int, *, depth: int = 8, colour_type: int = 0, clear: int | None = None
) -> Path:
    """Write what no library would; a row begins with its filter."""
    stride = len(rows) // height if height else 0
    data = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
        transparency = [] if clear is None else [(b"tRNS", struct.pack(">H", clear))]
        for kind, content in ((b"IHDR", header), *transparency, (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
            PngImagePlugin.putchunk(file, kind, content)
    return path


@pytest.mark.parametrize(("width", "height"), [(13_400, 13_400), (11_000, 11_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, width: int, height: int) -> None:
    assert width * height > MAX_PIXELS
    path = write_png(tmp_path / "huge.png", b"", width, 0)
    content = path.read_bytes().replace(struct.pack(">II", width, 0), struct.pack(">II", width, height))
    crc = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content[:29] + crc + content[33:])
    with pytest.raises(ValueError, match="more than 120 megapixels"):
        load_image(path)


def test_damaged_pictures_give_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    write_png(tmp_path / "nothing.png", b"", 0, 0)
    (tmp_path / "run.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nquit\n")
    Image.fromarray(chart()).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    (tmp_path / "cut.heic").write_bytes(heic_of(chart())[:-200])
    for name in ("empty.png", "nothing.png", "run.eps", "cut.jpg", "cut.heic"):
        with pytest.raises(ValueError, match=f"{name} is not an image that can be read: ") as error:
            load_image(tmp_path / name)
        assert "\n" not in str(error.value)


def test_damage_of_any_kind_gives_one_clear_line_or_a_picture(tmp_path: Path) -> None:
    generator = random.Random(0)
    whole = [heic_of(chart())]
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "BMP", "PPM"):
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(chart()).save(file, kind, icc_profile=display_p3(), exif=exif)
        whole.append(file.getvalue())
    path = tmp_path / "damaged"
    refused: list[str] = []
    for content in whole:
        for _ in range(40):
            damaged = bytearray(content)
            for _ in range(generator.randint(1, 8)):
                damaged[generator.randrange(min(len(damaged), 800))] = generator.randrange(256)
            path.write_bytes(damaged[: generator.choice([len(damaged), generator.randrange(len(damaged))])])
            try:
                assert load_image(path).mode == "RGB"
            except ValueError as error:
                refused.append(str(error))
    assert len(refused) > 50
    assert not any("\n" in line for line in refused)


def test_what_is_no_file_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match=f"^{path} is not a file$"):
            load_image(path)
    with pytest.raises(ValueError, match=r"^no such image: "):
        load_image(tmp_path / "nothing.png")


def test_the_shared_cases_are_read(shared: Path) -> None:
    cases = shared / "cases" / "generate"
    if not cases.is_dir():
        pytest.skip("no cases")
    with Image.open(cases / "grey16.png") as image:
        wide = np.asarray(image).astype(int)
    assert np.abs(levels(cases / "grey16.png") - np.round(wide / 257)[..., None]).max() <= 1
    with Image.open(cases / "p3.jpg") as image:
        moved = levels(cases / "p3.jpg") - np.asarray(image).astype(int)
    assert np.abs(moved).mean() > 3, "the profile was followed"
    with pytest.raises(ValueError, match="more than 120 megapixels"):
        load_image(cases / "huge.png")
