from __future__ import annotations

from pathlib import Path

import pytest

from bench.samples.method_directories import named_directories


def test_names_lead_to_directories_in_the_order_given() -> None:
    found = named_directories(["theirs=b", "ours=/a=b"])
    assert list(found) == ["theirs", "ours"]
    assert found["ours"] == Path("/a=b")
    assert found["theirs"].is_absolute()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ours"], "not of the form NAME=DIR"),
        (["ours=a", "ours=b"], "given twice"),
        (["ours=a", "theirs=b/../a"], "the methods 'ours' and 'theirs' are one directory"),
        (["../x=a"], "cannot be a method's name"),
        (["a/b=a"], "cannot be a method's name"),
        ([f"{'x' * 101}=a"], "cannot be a method's name"),
    ],
)
def test_methods_are_named_once(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_directories(arguments)
