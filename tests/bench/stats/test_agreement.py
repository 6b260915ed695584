from __future__ import annotations

import numpy as np
import pytest

from bench.stats.agreement import Level, agreement, krippendorff_alpha

_ = float("nan")
# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", C: four observers, twelve units, values missing.
TEXTBOOK = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_textbook_s_figures(level: Level, expected: float) -> None:
    assert krippendorff_alpha(TEXTBOOK, level) == pytest.approx(expected, abs=5e-4)


def test_two_nominal_raters_as_worked_out_by_hand() -> None:
    # Krippendorff (2011), A: Meg and Owen sort ten articles into two categories; 0.095.
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(np.array([meg, owen]).T, "nominal") == pytest.approx(0.095, abs=5e-4)


def test_full_agreement_chance_and_contradiction() -> None:
    assert krippendorff_alpha([[1, 1], [2, 2], [3, 3]], "interval") == 1.0
    noise = np.random.default_rng(0).integers(1, 6, (3000, 3))
    assert krippendorff_alpha(noise, "ordinal") == pytest.approx(0, abs=0.03)
    contrary = krippendorff_alpha([[1, 5], [5, 1], [1, 5], [5, 1]], "interval")
    assert contrary is not None
    assert contrary < 0


def test_undefined_is_said_not_made_up() -> None:
    assert krippendorff_alpha([[3, 3], [3, 3]], "interval") is None
    assert krippendorff_alpha([[1, _], [_, 2]], "nominal") is None
    assert krippendorff_alpha([[_, _]], "nominal") is None
    assert agreement([[3, 3], [3, 3]], "interval") is None
    with pytest.raises(ValueError, match="table"):
        krippendorff_alpha([1, 2, 3], "nominal")


def test_the_interval_surrounds_alpha() -> None:
    found = agreement(TEXTBOOK, "interval", num_resamples=300)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.849 < found.high <= 1.0
