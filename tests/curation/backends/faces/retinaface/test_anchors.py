"""Anchors and what is decoded from them."""

from __future__ import annotations

import numpy as np
import torch

from curation.backends.faces.retinaface.anchors import decode_boxes, decode_landmarks, make_anchors
from curation.backends.faces.retinaface.network import RetinaFaceNetwork
from curation.backends.faces.retinaface.releases import MOBILENET


def test_anchors_run_over_levels_rows_columns_and_sizes() -> None:
    anchors = make_anchors(20, 40, ((16, 32), (64, 128), (256, 512)))
    assert len(anchors) == 2 * (3 * 5 + 2 * 3 + 1 * 2)
    assert anchors[:4].tolist() == [[4, 4, 16], [4, 4, 32], [12, 4, 16], [12, 4, 32]]
    assert anchors[10].tolist() == [4, 12, 16]
    assert anchors[-1].tolist() == [48, 16, 512]


def test_there_is_an_answer_for_each_anchor() -> None:
    logits, boxes, landmarks = RetinaFaceNetwork(MOBILENET, 0.1).eval()(torch.zeros(2, 3, 37, 50))
    num_anchors = len(make_anchors(37, 50, ((1, 2), (3, 4), (5, 6))))
    assert logits.shape == (2, num_anchors, 2)
    assert boxes.shape == (2, num_anchors, 4)
    assert landmarks.shape == (2, num_anchors, 10)


def test_answers_of_zero_are_the_anchor_itself() -> None:
    anchors = np.array([[50, 60, 20]], np.float32)
    assert decode_boxes(anchors, np.zeros((1, 4), np.float32)).tolist() == [[40, 50, 60, 70]]
    assert decode_landmarks(anchors, np.zeros((1, 10), np.float32)).tolist() == [[[50, 60]] * 5]


def test_answers_are_tenths_of_the_side_and_fifths_of_its_logarithm() -> None:
    anchors = np.array([[50, 60, 20]], np.float32)
    answers = np.array([[1, -2, 5 * np.log(2), 5 * np.log(0.5)]], np.float32)
    assert np.allclose(decode_boxes(anchors, answers), [[52 - 20, 56 - 5, 52 + 20, 56 + 5]])
    landmarks = decode_landmarks(anchors, np.arange(10, dtype=np.float32)[None])
    assert np.allclose(landmarks[0], [[50, 62], [54, 66], [58, 70], [62, 74], [66, 78]])
