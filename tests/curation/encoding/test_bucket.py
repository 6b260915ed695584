"""What a bucket is, as numbers and as text."""

from __future__ import annotations

import pytest

from curation.encoding.bucket import Bucket


def test_text_and_numbers_are_the_same() -> None:
    bucket = Bucket(109, 704, 1280)
    assert str(bucket) == f"{bucket}" == "109x704x1280"
    assert Bucket.parse("109x704x1280") == bucket


def test_its_area_and_its_latents() -> None:
    assert Bucket(109, 704, 1280).area == 901120
    assert Bucket(109, 704, 1280).latent_shape == (28, 44, 80)


@pytest.mark.parametrize("text", ["", "None", "109x704", "109x704x1280x3", "-1x2x3", "109x704x1280 "])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no <frames>x<height>x<width>"):
        Bucket.parse(text)
