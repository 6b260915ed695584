from __future__ import annotations

import math

import pyarrow as pa
import pytest

from curation.browse.query import Query, Range
from infra.config import ConfigError

SCHEMA = pa.schema(
    [("key", pa.string()), ("state", pa.string()), ("rule", pa.string()), ("shot_type", pa.string()),
     ("num_people", pa.int64()), ("quality_score", pa.float64())]
)  # fmt: skip


def test_nothing_asked_is_everything_in_order_of_keys() -> None:
    assert Query.parse("", SCHEMA) == Query(values={}, ranges={})


def test_all_that_can_be_asked() -> None:
    text = (
        "#q=Red%20%22two+words%22&state=rejected&rule=faces/presence&rule=&is.shot_type=portrait&is.shot_type="
        "&min.quality_score=0.25&max.quality_score=1e2&min.num_people=2&sort=-quality_score&page=3&view=table&clip=x"
    )
    assert Query.parse(text, SCHEMA) == Query(
        words=("red", "two words"),
        values={"state": ("rejected",), "rule": ("faces/presence", None), "shot_type": ("portrait", None)},
        ranges={"quality_score": Range(low=0.25, high=100.0), "num_people": Range(low=2.0, high=math.inf)},
        sort="quality_score",
        descending=True,
        page=3,
    )


def test_a_clip_without_its_sound_is_a_kept_one() -> None:
    assert set(Query.parse("state=kept", SCHEMA).values["state"]) == {"kept", "sound_dropped"}
    assert Query.parse("state=sound_dropped", SCHEMA).values["state"] == ("sound_dropped",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state=lost", "there are kept, sound_dropped, rejected, source"),
        ("sort=quality_scor", "no column 'quality_scor', did you mean 'quality_score'"),
        ("is.nothing=1", "no column 'nothing'"),
        ("min.shot_type=1", "shot_type has no numbers"),
        ("min.quality_score=much", "'much' is not a number"),
        ("max.quality_score=nan", "'nan' is not a number"),
        ("page=0", "pages are numbers from 1 on"),
        ("page=1e9", "pages are numbers from 1 on"),
        ("where=1%3D1", "'where' cannot be asked for"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        Query.parse(text, SCHEMA)
    assert "\n" not in str(error.value)
