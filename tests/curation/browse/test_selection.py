from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.browse.collection import Collection
from curation.browse.query import Query
from curation.browse.selection import Selection, select, spread
from tests.worlds.synthetic_run import HOSTILE, sources

TALK, HOSTILE_UNIT, FOREST, SMALL, BROKEN = sources()


def asked(collection: Collection, text: str) -> Selection:
    return select(collection, Query.parse(text, collection.table.schema))


def keys(collection: Collection, text: str) -> list[str]:
    return [row["key"] for row in asked(collection, text).rows(0, 1000, ["key"])]


def clip_keys(unit: Any, *indices: int) -> list[str]:
    return sorted(unit.clips[index].key for index in indices)


def test_the_states_of_a_run(collection: Collection) -> None:
    assert set(keys(collection, "state=sound_dropped")) == {TALK.clips[1].key, FOREST.clips[0].key}
    assert len(keys(collection, "state=kept")) == 5
    assert keys(collection, "state=source") == sorted([SMALL.key, BROKEN.key])
    assert len(keys(collection, "state=rejected&state=source")) == 5
    assert dict(asked(collection, "").facets["state"]) == {"kept": 3, "sound_dropped": 2, "rejected": 3, "source": 2}


def test_rules_and_their_counts_say_what_another_choice_would_give(collection: Collection) -> None:
    found = asked(collection, "rule=faces/presence&state=rejected")
    assert len(found.places) == 2
    assert dict(found.facets["rule"]) == {"faces/presence": 2, "split/too_short": 1}
    assert dict(found.facets["state"]) == {"rejected": 2}
    assert dict(asked(collection, "").facets["audio_reason"])["sync/persistent_mismatch"] == 1


def test_words_are_looked_for_in_key_caption_and_source(collection: Collection) -> None:
    assert keys(collection, "q=TALK+mp4") == clip_keys(TALK, 0, 1, 2)
    assert keys(collection, "q=%22person+walks%22") == clip_keys(HOSTILE_UNIT, 0)
    assert keys(collection, "q=onerror%3Dalert(1)") == clip_keys(HOSTILE_UNIT, 0, 1, 2)
    assert keys(collection, "q=talk+forest") == []
    assert (
        HOSTILE.lower()
        in collection.searched.to_pylist()[collection.table["key"].to_pylist().index(HOSTILE_UNIT.clips[0].key)]
    )


def test_values_ranges_and_what_has_none(collection: Collection) -> None:
    assert keys(collection, "is.shot_type=portrait") == clip_keys(TALK, 0)
    assert keys(collection, "max.face_presence=0.5") == clip_keys(TALK, 2)
    assert keys(collection, "min.face_presence=0.25&max.face_presence=0.9") == clip_keys(TALK, 0, 2)
    assert keys(collection, "is.face_presence=0.25") == clip_keys(TALK, 2)
    assert len(keys(collection, "is.face_presence=")) == 8
    assert keys(collection, "is.parent_key=&is.num_people=2") == clip_keys(HOSTILE_UNIT, 0)
    assert len(keys(collection, "is.audio_kept=true")) == 3
    assert keys(collection, "is.num_people=two") == []


def test_order_puts_what_has_no_value_last_both_ways(collection: Collection) -> None:
    up, down = (keys(collection, f"sort={sign}face_presence") for sign in ("", "-"))
    assert up[:2] == [TALK.clips[2].key, TALK.clips[0].key]
    assert down[:2] == up[:2][::-1]
    assert up[2:] == down[2:] == sorted(up[2:])
    assert keys(collection, "sort=-key") == sorted(keys(collection, ""), reverse=True)


def test_time_of_video_counts_once(collection: Collection) -> None:
    kept = asked(collection, "state=kept")
    assert kept.num_clips == 5
    assert kept.seconds == pytest.approx(23.0), "as the report counts it"
    everything = asked(collection, "")
    assert (len(everything.places), everything.num_clips) == (10, 8)
    assert asked(collection, "state=source").seconds == 0.0


def test_how_values_are_spread(collection: Collection) -> None:
    people = spread(asked(collection, "state=kept"), "num_people")
    assert people.values == [("1", 3), ("0", 1), ("2", 1)]
    assert (people.low, people.high, sum(people.bars)) == (0.0, 2.0, 5)
    presence = spread(asked(collection, ""), "face_presence")
    assert presence.values == [(None, 8), ("0.25", 1), ("0.9", 1)]
    assert spread(asked(collection, "state=source"), "face_presence").bars == ()
    assert spread(asked(collection, ""), "shot_type").low is None


def test_measurements_that_all_differ_are_bars_alone() -> None:
    table = pa.table({"key": [str(number) for number in range(40)], "state": ["kept"] * 40, "x": np.linspace(0, 1, 40)})
    found = spread(asked(Collection(runs=(), table=table), ""), "x")
    assert (found.values, found.num_values, sum(found.bars)) == ([], 40, 40)


@pytest.mark.parametrize("seed", range(5))
def test_a_selection_is_what_looking_at_every_row_finds(seed: int) -> None:
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = [
        {
            "key": f"clip-{number:03d}", "source": f"/in/{draw.choice('abc')}.mp4",
            "caption_brief": draw.choice(["Red sky", "blue", None]),
            "state": draw.choice(["kept", "rejected"]), "score": draw.choice([None, math.nan, draw.random()]),
            "count": draw.choice([None, 1, 2]), "start_s": 0.0, "end_s": 1.0,
        }
        for number in range(200)
    ]  # fmt: skip
    collection = Collection(runs=(), table=pa.Table.from_pylist(rows))
    low, count = draw.random(), draw.choice(["1", "2", ""])
    wanted = [
        row["key"]
        for row in rows
        if "red" in f"{row['key']} {row['caption_brief']} {row['source']}".lower()
        and row["score"] is not None and row["score"] >= low
        and (str(row["count"]) if row["count"] is not None else "") == count
    ]  # fmt: skip
    assert keys(collection, f"q=RED&min.score={low}&is.count={count}") == wanted
    by_score = sorted(
        (row for row in rows if row["score"] is not None and not math.isnan(row["score"])),
        key=lambda row: -row["score"],
    )
    assert keys(collection, "sort=-score")[: len(by_score)] == [row["key"] for row in by_score]
