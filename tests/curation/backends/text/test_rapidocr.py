from __future__ import annotations

import socket
from typing import NoReturn

import cv2
import numpy as np
import pytest

from curation.backends.registry import TEXT_DETECTORS
from curation.backends.text.detector import TextDetector
from curation.backends.text.rapidocr import RapidOcrTextDetector
from tests.worlds.drawn_scenes import landscape, write


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TEXT_DETECTORS.build("rapidocr")


def test_a_line_is_found_where_it_was_written(detector: TextDetector) -> None:
    picture = write(np.full((480, 640, 3), 90, np.uint8), "HELLO TO EVERYONE", centre=(0.5, 0.8), size=0.07)
    ((text,),) = detector.detect([picture])
    assert text.box.centre == pytest.approx((0.5, 0.8), abs=0.02)
    assert 0.5 < text.confidence <= 1
    assert abs(text.angle_deg) < 3


@pytest.mark.parametrize("angle_deg", [-20, 20])
def test_slanted_text_has_its_angle(detector: TextDetector, angle_deg: int) -> None:
    flat = write(np.full((480, 640, 3), 90, np.uint8), "HELLO EVERYONE", centre=(0.5, 0.5), size=0.08)
    turn = cv2.getRotationMatrix2D((320, 240), -angle_deg, 1.0)
    ((text,),) = detector.detect([np.asarray(cv2.warpAffine(flat, turn, (640, 480)), np.uint8)])
    assert text.angle_deg == pytest.approx(angle_deg, abs=3)


def test_a_picture_without_text_has_none(detector: TextDetector) -> None:
    assert detector.detect([np.full((480, 640, 3), 127, np.uint8)]) == [()]


@pytest.mark.parametrize("shape", [(48, 48, 3), (31, 500, 3), (720, 200, 3)])
def test_odd_shapes_do_not_break_it(detector: TextDetector, shape: tuple[int, int, int]) -> None:
    assert detector.detect([np.full(shape, 127, np.uint8)]) == [()]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    picture = write(landscape(61)[:, :640], "HELLO TO EVERYONE", centre=(0.5, 0.8), size=0.07)
    assert RapidOcrTextDetector().detect([picture])[0]


def test_threads_are_those_of_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    detector = RapidOcrTextDetector()
    detector.detect([np.full((64, 64, 3), 127, np.uint8)])
    options = detector.engine.text_det.session.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
