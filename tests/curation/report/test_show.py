from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from curation.report.show import show
from infra.config import ConfigError
from tests.worlds.synthetic_run import sources, write_run

TALK, HOSTILE, _, SMALL, BROKEN = sources()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = str(tmp_path_factory.mktemp("run"))
    write_run(run, sources())
    return run


def shown(run: str, key: str) -> str:
    sink = io.StringIO()
    Console(file=sink, width=400).print(show(run, key))
    return sink.getvalue()


def values(text: str) -> dict[str, str]:
    """Name and value of every line that has both."""
    pairs = (line.strip().split(None, 1) for line in text.splitlines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def test_a_kept_clip_shows_its_record_caption_and_files(run: str) -> None:
    key = HOSTILE.clips[0].key
    text = shown(run, key)
    found = values(text)
    assert found["kept"] == "yes"
    assert found["shot_type"] == "full_body"
    assert found["detailed"] == "A person walks to the left."
    assert found[f"{key}.mp4"].startswith("100 bytes at offset ")
    assert f"{key}.wav" in found
    assert f"Files in {run}/shards/soul-" in text
    assert found["video.codec"] == "h264"


def test_a_rejected_clip_shows_its_decision_and_scores(run: str) -> None:
    text = shown(run, TALK.clips[2].key)
    found = values(text)
    assert "rejected: faces/presence" in text
    assert (found["reject_value"], found["reject_threshold"]) == ("0.25", "0.5")
    assert found["face_presence"] == "0.25"
    assert "Files in" not in text


def test_brackets_and_escapes_in_a_file_name_stay_text(run: str) -> None:
    text = shown(run, HOSTILE.clips[0].key)
    assert "[bold]" in text
    assert "\x1b" not in text
    assert "\\x1b[2J" in text


def test_a_quarantined_source_shows_its_reason(run: str) -> None:
    text = shown(run, BROKEN.key)
    assert "rejected: probe/unreadable" in text
    assert values(text)["detail"] == "no <moov> atom"


def test_a_source_turned_down_has_a_record_and_a_source_with_clips_lists_them(run: str) -> None:
    assert values(shown(run, SMALL.key))["reject_value"] == "480"
    found = values(shown(run, TALK.key))
    assert found[TALK.clips[0].key] == "0.00–4.50 s, kept"
    assert found[TALK.clips[2].key] == "10.00–14.50 s, faces/presence"


def test_a_quarantine_file_that_is_not_committed_is_found(tmp_path: Path) -> None:
    write_run(str(tmp_path), [])
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "x-0.json").write_text('{"detail": "died twice"}')
    text = shown(str(tmp_path), "x-0")
    assert "not committed yet" in text
    assert "died twice" in text


def test_an_unknown_key_names_the_nearest(run: str) -> None:
    with pytest.raises(ConfigError, match=rf"did you mean {TALK.clips[0].key} or"):
        show(run, TALK.clips[0].key[:-1])
    with pytest.raises(ConfigError, match=r"no clip 'zzzz'; it has 10 rows"):
        show(run, "zzzz")
    with pytest.raises(ConfigError, match="not a run directory"):
        show(f"{run}/nothing", "talk")
