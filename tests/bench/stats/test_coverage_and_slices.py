from __future__ import annotations

from bench.stats.coverage import cover
from bench.stats.slices import slices


def test_every_sample_is_counted_once_with_its_reason() -> None:
    samples = [f"{index}" for index in range(226)]
    reasons = dict.fromkeys(samples[181:], "no face")
    assert str(cover(samples, samples[:181], reasons)) == "n = 181/226; 45 no face"
    found = cover(samples, samples[:180], {**reasons, "225": "unreadable"})
    assert str(found) == "n = 180/226; 44 no face, 1 not scored, 1 unreadable"
    assert found.num_scored + sum(found.reasons.values()) == found.num_total
    assert cover(samples, samples, reasons).is_complete


def test_attributes_that_split_nothing_are_left_out() -> None:
    found = slices(
        {"b": {"kind": "talk", "who": "human"}, "a": {"kind": "sing", "who": "human"}, "c": {"kind": "talk"}}
    )
    assert found == {"kind": {"sing": ["a"], "talk": ["b", "c"]}}
