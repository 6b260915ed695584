from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from curation.browse.collection import Collection
from curation.browse.comparison import open_comparison
from curation.browse.query import Query
from curation.browse.selection import select
from curation.browse.server import serving
from curation.clip.schema import Clip, Source
from infra.config import ConfigError
from tests.curation.browse.conftest import MP4, WAV
from tests.worlds.browsed import ask
from tests.worlds.synthetic_run import clip, export, source, write_run

UNIT = source("/in/talk.mp4", 1280, 720, 40.0)
GONE, NEW = source("/in/gone.mp4", 1280, 720, 10.0), source("/in/new.mp4", 1280, 720, 10.0)


def kept(made: Clip) -> Clip:
    exported = export(made)
    assert exported.payload is not None
    return replace(exported, payload=replace(exported.payload, mp4=MP4, wav=WAV if made.has_audio else None))


def dark(made: Clip) -> Clip:
    return made.reject("quality", "low_score", 0.2, 0.5)


def faceless(made: Clip) -> Clip:
    return made.reject("faces", "presence", 0.1, 0.5)


def silenced(made: Clip) -> Clip:
    return kept(made.drop_audio("sync", "offset", 9.0, 3.0))


WAYS: tuple[tuple[Callable[[Clip], Clip], Callable[[Clip], Clip], str, str | None], ...] = (
    (kept, kept, "same", None),
    (kept, dark, "lost", "quality/low_score"),
    (dark, kept, "gained", "quality/low_score"),
    (dark, faceless, "other_rule", "quality/low_score → faces/presence"),
    (dark, dark, "same", None),
    (kept, silenced, "sound_lost", "sync/offset"),
    (silenced, kept, "sound_gained", "sync/offset"),
)
"""What became of a clip in each run, and what the comparison must say of it."""


def unit(side: int) -> Source:
    made = [(first, second)[side](clip(UNIT, index)) for index, (first, second, _, _) in enumerate(WAYS)]
    return replace(UNIT, clips=tuple(made))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = Path(tmp_path_factory.mktemp("compared"))
    first, second = str(folder / "first"), str(folder / "second")
    write_run(first, [unit(0), replace(GONE, clips=(kept(clip(GONE, 0)),))])
    moved = replace(clip(NEW, 0), start_s=0.5)
    write_run(second, [unit(1), replace(NEW, clips=(faceless(moved),))], config_hash="other")
    return first, second


@pytest.fixture(scope="module")
def compared(runs: tuple[str, str]) -> Collection:
    return open_comparison(*runs, lambda _run: lambda _done, _of: None)


def test_every_clip_is_told_what_became_of_it_and_by_which_rule(compared: Collection) -> None:
    rows = {row["key"]: row for row in compared.table.to_pylist()}
    for index, (_, _, change, rule) in enumerate(WAYS):
        row = rows[UNIT.clip_key(index)]
        assert (row["change"], row["change_rule"], row["run"]) == (change, rule, 0)
    gone, new = rows[GONE.clip_key(0)], rows[NEW.clip_key(0)]
    assert (gone["change"], gone["other_state"], gone["run"]) == ("only_first", None, 0)
    assert (new["change"], new["change_rule"], new["run"]) == ("only_second", "faces/presence", 1)
    assert len(rows) == len(WAYS) + 2


def test_changes_are_filtered_and_counted(compared: Collection) -> None:
    query = Query.parse("is.change=lost&is.change=sound_lost", compared.table.schema)
    found = select(compared, query)
    assert [row["key"] for row in found.rows(0, 9, ["key"])] == [UNIT.clip_key(1), UNIT.clip_key(5)]
    assert dict(found.facets["change"])["same"] == 2
    assert dict(found.facets["change_rule"]) == {"quality/low_score": 1, "sync/offset": 1}


def test_the_same_key_over_other_seconds_is_told(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    write_run(first, [replace(UNIT, clips=(kept(clip(UNIT, 0)), kept(clip(UNIT, 1))))])
    moved = replace(clip(UNIT, 1), start_s=5.5)
    write_run(second, [replace(UNIT, clips=(kept(clip(UNIT, 0)), kept(moved)))])
    table = open_comparison(first, second, lambda _run: lambda _done, _of: None).table
    assert table["span_differs"].to_pylist() == [False, True]


def test_both_records_are_given_with_what_differs_and_each_runs_files_play(compared: Collection) -> None:
    with serving(compared) as address:
        key = UNIT.clip_key(5)
        answer = ask(address, "api/record", {"key": key}).json
        assert set(answer["records"]) == {"0", "1"}
        differing = {name: (before, now) for name, before, now in answer["differences"]}
        assert differing == {"audio_kept": ("yes", "no"), "audio_reason": ("–", "sync/offset")}
        assert ask(address, "file", {"run": "0", "key": key, "kind": "wav"}).body == WAV
        assert ask(address, "file", {"run": "1", "key": key, "kind": "wav"}).status == 404
        assert ask(address, "clip", {"run": "1", "key": key}).body == MP4
        assert set(ask(address, "api/record", {"key": NEW.clip_key(0)}).json["records"]) == {"1"}
        assert ask(address, "clip", {"run": "1", "key": GONE.clip_key(0)}).status == 404


def test_a_run_is_not_compared_with_itself(runs: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="compared with itself"):
        open_comparison(runs[0], f"{runs[0]}/", lambda _run: lambda _done, _of: None)
