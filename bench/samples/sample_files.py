"""The files of one sample: what its JSON says, and what is wrong with its image or its sound, in one line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import soundfile
from PIL import Image, UnidentifiedImageError


def read_texts(path: Path) -> dict[str, Any]:
    """The JSON object of a sample, its `en_prompt` checked.

    Raises:
        ValueError: it is something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        return {**values, "en_prompt": _text(values["en_prompt"])}
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a sample: expected a JSON object with an 'en_prompt' ({error})") from error


def find_beside(path: Path, suffix: str) -> Path | None:
    """The file of the same name with another ending, in small or capital letters.

    Raises:
        OSError: the directory cannot be searched.
    """
    candidates = (path.with_suffix(suffix), path.with_suffix(suffix.upper()))
    return next((one for one in candidates if one.is_file()), None)


def image_problem(path: Path) -> str | None:
    """Why a picture cannot be read, None if it can: its header is decoded, and a PNG's checksums are compared."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.verify()
    except Image.DecompressionBombError:
        return None  # too large for Pillow alone: metrics read it with OpenCV
    except UnidentifiedImageError:
        return f"{path} cannot be read as an image (it is none)"
    # On damaged files Pillow's readers raise exceptions of many kinds, for a PNG even a SyntaxError.
    except Exception as error:  # noqa: BLE001
        return f"{path} cannot be read as an image ({_told(error, path)})"
    return None


def sound_length_s(path: Path) -> float:
    """How long a recording is.

    Raises:
        ValueError: it cannot be read as sound, or holds none; one line.
    """
    try:
        info = soundfile.info(str(path))
        length_s = float(info.duration)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as sound ({_told(error, path)})") from error
    if info.frames <= 0:
        raise ValueError(f"{path} holds no sound")
    return length_s


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is not text")
    return value


def _told(error: Exception, path: Path) -> str:
    """The message of an exception without the path, which the caller puts before it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = str(error).replace(f"{str(path)!r}", "the file").replace(str(path), "the file")
    return " ".join(words.split()) or type(error).__name__
