"""Plans meet their shares, and are the same again from the same spec."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.builder.briefs import APPLIES, fingerprint, plan, tally
from bench.builder.shares import SUBJECTS, counts, size, span
from bench.builder.spec import DEFAULT, read_spec
from bench.samples.samples import ID

weights = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1e6), min_size=1).filter(
    lambda found: sum(found.values()) > 0
)


@given(weights, st.integers(0, 500))
def test_counts_are_the_shares_rounded(shares: dict[str, float], num: int) -> None:
    found = counts(shares, num)
    assert sum(found.values()) == num
    total = sum(shares.values())
    for value, weight in shares.items():
        assert abs(found[value] - weight / total * num) < 1 + 1e-9
        assert weight or not found[value]


@settings(max_examples=25, deadline=None)
@given(target=st.integers(1, 120), seed=st.integers(0, 9), human=st.integers(1, 20), animal=st.integers(0, 20))
def test_a_plan_meets_every_share(target: int, seed: int, human: int, animal: int) -> None:
    shares = [f"shares.subject={{human: {human}, animation: 3, animal: {animal}}}"]
    spec = read_spec(DEFAULT, [f"target={target}", f"seed={seed}", *shares])
    briefs = plan(spec)
    assert briefs == plan(spec)
    assert [brief.number for brief in briefs] == list(range(1, target + 1))
    assert all(ID.fullmatch(brief.id) for brief in briefs)
    found = tally(briefs)
    for name in (field.name for field in dataclasses.fields(spec.shares)):
        num = sum(brief.subject in APPLIES.get(name, SUBJECTS) for brief in briefs)
        expected = {value: count for value, count in counts(getattr(spec.shares, name), num).items() if count}
        if name == "gender":
            expected |= {"unknown": target - num} if num < target else {}
        if name.endswith("_style"):
            about = [brief.style for brief in briefs if brief.subject in APPLIES[name]]
            assert Counter(about) == expected
        else:
            assert found.get(name, {}) == expected
    for brief in briefs:
        low, high = brief.duration_s
        assert low < brief.aim_s < high
        assert (brief.gender == "unknown", brief.age == "") == (brief.subject == "animal",) * 2


def test_the_default_follows_the_paper() -> None:
    spec = read_spec(DEFAULT)
    assert spec.target == 500
    found = tally(plan(spec))
    assert found["shot"] == {"portrait": 104, "upper_body": 237, "full_body": 159}
    assert found["mode"] == {"talk": 500}
    assert fingerprint(plan(spec)) != fingerprint(plan(read_spec(DEFAULT, ["seed=1"])))


@pytest.mark.parametrize("text", ["30-27", "27", "a-b", "27-27", ""])
def test_spans(text: str) -> None:
    assert span("27-30") == (27, 30)
    with pytest.raises(ValueError, match="not a span"):
        span(text)


def test_sizes() -> None:
    assert size("832x1216") == (832, 1216)
    with pytest.raises(ValueError, match="not a size"):
        size("832")
