"""Where a command writes: refused before any work, and one line when it cannot be written to later."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.command_line import CommandFailedError
from infra.storage.out_directory import prepare, working_in


def test_it_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b")
    prepare(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["file", "file/below"])
def test_what_cannot_be_a_directory_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"cannot write into {tmp_path / below} \("):
        prepare(tmp_path / below)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "out: No space left on device; the same command goes on"),
        (OSError(28, "No space left on device", "x"), "x: No space left on device; the same command goes on"),
    ],
)
def test_a_disk_that_fails_is_one_line_with_the_file(error: OSError, line: str) -> None:
    with pytest.raises(CommandFailedError) as told, working_in(Path("out")):
        raise error
    assert str(told.value) == line


@pytest.mark.parametrize("error", [ConnectionError(111, "refused"), BrokenPipeError(32, "gone"), OSError("bare")])
def test_what_is_no_disk_s_trouble_goes_through(error: OSError) -> None:
    with pytest.raises(type(error)) as told, working_in(Path("out")):
        raise error
    assert told.value is error
