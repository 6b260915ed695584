"""What is pushed arrives whole, a broken push goes on, and what may not be written to is one line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from huggingface_hub import snapshot_download

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.hub import client, repository
from infra.hub.push import add_destination, is_repository, push
from infra.hub.pushed_file import PushedFile, part_of
from tests.worlds.pushing import TOKEN, taking_hub
from tests.worlds.weight_servers import Hub

CONTENTS = {"config.json": b"{}", "a/one.safetensors": b"1" * 3000, "a/two.safetensors": b"2" * 4000}
CARD = b"# A card\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with taking_hub("someone/net", monkeypatch, tmp_path) as served:
        yield served


def files(folder: Path) -> list[PushedFile]:
    """Three files that lie in a folder, and a card that is made."""
    for name, content in CONTENTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
    lying = [PushedFile(name=name, source=str(folder / name)) for name in CONTENTS]
    return [*lying, PushedFile(name="README.md", content=lambda: CARD)]


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_destination(parser)
    return parser.parse_args(words)


def give(given: list[PushedFile], *words: str) -> None:
    push(given, options("--to", *words), kind="model", message="Push a net")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_has_the_form_of_a_repository_is_one_unless_it_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_repository("someone/net")
    assert not any(map(is_repository, ["./someone/net", "/out", "out", "a/b/c", "~/out", "out/"]))
    Path("someone").mkdir()
    assert not is_repository("someone/net")


def test_a_folder_gets_the_files_and_only_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    give(files(tmp_path / "net"), str(out))
    assert contents(out) == CONTENTS | {"README.md": CARD}
    assert "(4 of 4 files written" in capsys.readouterr().out
    give(files(tmp_path / "net"), str(out))
    assert "(0 of 4 files written, the others were there)" in capsys.readouterr().out
    (tmp_path / "net" / "config.json").write_bytes(b"[]")
    give(files(tmp_path / "net"), str(out))
    assert "(1 of 4 files written" in capsys.readouterr().out
    assert (out / "config.json").read_bytes() == b"[]"


def test_what_was_broken_off_in_a_folder_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = files(tmp_path / "net")

    def broken() -> bytes:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        give([*given[:2], PushedFile(name="a/two.safetensors", content=broken)], str(out))
    part_of(out / "a" / "two.safetensors").write_bytes(b"half")
    give(given, str(out))
    assert contents(out) == CONTENTS | {"README.md": CARD}


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds something else \(thesis\.txt\)"):
        give(files(tmp_path / "net"), str(out))
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigError, match="is a file"):
        give(files(tmp_path / "net"), str(out / "thesis.txt"))
    with pytest.raises(ConfigError, match="are for a repository of the Hub"):
        give(files(tmp_path / "net"), str(tmp_path / "new"), "--private")
    with pytest.raises(ConfigError, match=r"s3://bucket/x: give OWNER/NAME"):
        give(files(tmp_path / "net"), "s3://bucket/x")


def test_a_repository_is_made_and_has_the_files(server: Hub, tmp_path: Path) -> None:
    give(files(tmp_path / "net"), "someone/net", "--private")
    assert server.files == CONTENTS | {"README.md": CARD}
    assert (server.private, server.messages) == (True, ["Push a net"])
    # What was pushed can be had again by its name.
    got = snapshot_download("someone/net", endpoint=server.address, local_dir=tmp_path / "got")
    assert {name: (Path(got) / name).read_bytes() for name in CONTENTS} == CONTENTS


def test_the_hub_gets_nothing_twice(server: Hub, tmp_path: Path) -> None:
    give(files(tmp_path / "net"), "someone/net", "--message", "First")
    assert len(server.received) == 2
    (tmp_path / "net" / "config.json").write_bytes(b"[]")
    give(files(tmp_path / "net"), "someone/net", "--message", "Second")
    assert len(server.received) == 2
    assert server.messages == ["First", "Second"]
    assert server.files["config.json"] == b"[]"


def test_a_push_that_was_broken_off_goes_on(server: Hub, tmp_path: Path) -> None:
    server.accepts = 1
    with pytest.raises(CommandFailedError, match="the same command goes on") as error:
        give(files(tmp_path / "net"), "someone/net")
    assert "\n" not in str(error.value)
    server.accepts = None
    give(files(tmp_path / "net"), "someone/net")
    assert server.files == CONTENTS | {"README.md": CARD}
    assert len(server.received) == 2, "what had arrived is not sent again"


def test_a_token_that_is_missing_or_refused_is_one_line(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN + "_of_another")
    with pytest.raises(ConfigError, match=r"refuses to let this token write to someone/net \(401\)") as error:
        give(files(tmp_path / "net"), "someone/net")
    assert "\n" not in str(error.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="no token for the Hub: set HF_TOKEN"):
        give(files(tmp_path / "net"), "someone/net")
    assert not server.files
    with pytest.raises(ConfigError, match=r"some--one/net is no name of a repository"):
        give(files(tmp_path / "net"), "some--one/net")


def test_a_hub_that_does_not_answer_is_one_line(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.ENDPOINT, "http://127.0.0.1:9")
    with pytest.raises(CommandFailedError, match=r"^http://127\.0\.0\.1:9: someone/net: .*the same command goes on$"):
        give(files(tmp_path / "net"), "someone/net")


def test_files_of_an_object_store_go_in_batches_and_only_once(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    far = {f"shards/{number}.tar": bytes([number]) * 1000 for number in range(5)}
    for name, content in far.items():
        store.pipe_file(f"/pushed/{name}", content)
    given = [PushedFile(name=name, source=f"memory://pushed/{name}") for name in far]
    monkeypatch.setattr(repository, "BATCH_BYTES", 2000)
    give([*given[:1], PushedFile(name="README.md", content=lambda: CARD)], "someone/net")
    give([*given, PushedFile(name="README.md", content=lambda: CARD)], "someone/net")
    assert server.files == far | {"README.md": CARD}
    assert len(server.received) == len(far)
    assert len(server.messages) == 1 + 2, "a commit for each batch"
    out = tmp_path / "out"
    give(given, str(out))
    assert contents(out) == far
