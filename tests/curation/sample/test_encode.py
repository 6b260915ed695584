"""Made videos are written where they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.media import probe
from curation.sample.encode import encode


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(Path("10:30.mp4"), "10:30.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5, fps=25, samples=None)
    assert probe(str(tmp_path / "10:30.mp4")).width == 32
