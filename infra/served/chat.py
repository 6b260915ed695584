"""Chat completions in the OpenAI protocol: what is shown to a model, and what it replied."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from infra.served.endpoint import NotNowError

JPEG_QUALITY = 90


def image_part(image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """An image `(H, W, 3)` BGR as a part of a message."""
    ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok, "an image in memory can be encoded"
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: str) -> dict[str, Any]:
    """A text as a part of a message."""
    return {"type": "text", "text": text}


def first_choice(answer: Any) -> tuple[Mapping[str, Any], str]:
    """The first choice of a chat completion, and its text.

    Raises:
        NotNowError: the answer is something else.
    """
    try:
        choice = answer["choices"][0]
        return choice, str(choice["message"].get("content") or "")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotNowError("the answer is not a chat completion") from error
