"""Images from a served model: each a PNG that is large enough, has the requested aspect ratio and is not blank."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from bench.builder.briefs import Brief
from bench.builder.failure import StepFailedError, refusals
from bench.builder.spec import ImageConfig
from infra.served.endpoint import NotNowError, get_file

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class PngImage:
    """An image and its PNG file."""

    pixels: npt.NDArray[np.uint8]
    """`(H, W, 3)` BGR."""
    png: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def draw(config: ImageConfig, brief: Brief, prompt: str, seed: int) -> PngImage:
    """The image of a prompt.

    Raises:
        StepFailedError: what came back is not what was asked for.
        NotNowError: the server gave no answer.
    """
    width, height = brief.size
    body: dict[str, Any] = {"model": config.model, "prompt": prompt, "n": 1, "size": f"{width}x{height}"}
    if config.response_format is not None:
        body["response_format"] = config.response_format
    if config.send_seed:
        body["seed"] = seed
    with refusals():
        answer = config.post("images/generations", {**body, **config.extra})
    try:
        image = read_image(_image_file(answer, config.timeout_s))
    except ValueError as error:
        raise StepFailedError("not an image", str(error)) from error
    check_image(config, image)
    aspect, wanted = image.size[0] / image.size[1], width / height
    if abs(aspect / wanted - 1) > config.aspect_tolerance:
        raise StepFailedError("the image has another shape", f"{image.size} instead of {brief.size}")
    return image


def read_image(data: bytes) -> PngImage:
    """Decode an image. A PNG keeps its bytes; any other format is encoded as PNG.

    Raises:
        ValueError: it cannot be decoded.
    """
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if decoded is None:
        raise ValueError(f"{len(data)} bytes that cannot be decoded")
    pixels = np.asarray(decoded, np.uint8)
    if data.startswith(PNG_SIGNATURE):
        return PngImage(pixels=pixels, png=data)
    ok, png = cv2.imencode(".png", pixels)
    assert ok, "an image in memory can be encoded"
    return PngImage(pixels=pixels, png=png.tobytes())


def check_image(config: ImageConfig, image: PngImage) -> None:
    """Check that an image is large enough and not blank.

    Raises:
        StepFailedError: it is too small, or blank.
    """
    if min(image.size) <= config.min_short_edge_px:
        raise StepFailedError("the image is too small", f"{image.size[0]} x {image.size[1]} pixels")
    if float(cv2.cvtColor(image.pixels, cv2.COLOR_BGR2GRAY).std()) < config.min_contrast:
        raise StepFailedError("the image is blank")


def _image_file(answer: Any, timeout_s: float) -> bytes:
    """The file in an answer of the images protocol, or at the address that it names."""
    try:
        first = answer["data"][0]
        encoded, address = first.get("b64_json"), first.get("url")
        if encoded:
            return base64.b64decode(encoded, validate=True)
        return get_file(address, timeout_s=timeout_s)
    except binascii.Error as error:
        raise ValueError("the answer is not base64") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("the answer holds no image") from error
    except NotNowError as error:
        # The server gave this address: if nothing is there, the spec is not at fault.
        raise ValueError(f"its address: {error}") from error
