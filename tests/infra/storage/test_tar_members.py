from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import s3fs

from infra.config import ConfigError
from infra.storage.commits import staged_tar
from infra.storage.tar_members import tar_members
from tests.worlds.counting_store import counted

CONTENT = {"a.mp4": bytes(range(256)) * 5, "a.json": b"{}", "b.mp4": b"", "b.wav": b"x" * 512}


def write_tar(path: str) -> str:
    with staged_tar(path) as tar:
        for name, content in CONTENT.items():
            tar.add(name, content)
    return path


@pytest.mark.parametrize("place", ["{folder}", "memory://tars"])
def test_every_file_is_found_at_its_offset(tmp_path: Path, place: str) -> None:
    members = tar_members(write_tar(f"{place.format(folder=tmp_path)}/some.tar"))
    assert {name: member.read() for name, member in members.items()} == CONTENT
    assert members["a.mp4"].read(100, 300) == CONTENT["a.mp4"][100:300]
    assert members["a.mp4"].read(1200, 9999) == CONTENT["a.mp4"][1200:]
    assert members["a.mp4"].read(9999) == b""


def test_the_offset_is_that_of_the_plain_file(tmp_path: Path) -> None:
    path = Path(write_tar(str(tmp_path / "some.tar")))
    for member in tar_members(str(path)).values():
        assert path.read_bytes()[member.offset : member.offset + member.size] == CONTENT[member.name]


def test_folders_and_links_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w") as tar:
        folder, link = tarfile.TarInfo("folder"), tarfile.TarInfo("link")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(folder)
        tar.addfile(link)
        file = tarfile.TarInfo("file")
        file.size = 3
        tar.addfile(file, io.BytesIO(b"abc"))
    assert list(tar_members(str(path))) == ["file"]


def test_damage_is_one_line(tmp_path: Path) -> None:
    path = Path(write_tar(str(tmp_path / "some.tar")))
    members = tar_members(str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[:900])
    with pytest.raises(ConfigError, match="is damaged"):
        tar_members(str(path))
    with pytest.raises(ConfigError, match="is damaged: it ends within a"):
        members["a.mp4"].read()
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ConfigError, match="is damaged"):
        tar_members(str(path))
    with pytest.raises(FileNotFoundError):
        tar_members(str(tmp_path / "other.tar"))


def test_of_a_store_no_more_than_what_is_asked_for_is_fetched(
    object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3fs.S3FileSystem().makedirs("tar-members", exist_ok=True)
    with staged_tar("s3://tar-members/some.tar") as tar:
        for number in range(4):
            tar.add(f"{number}.mp4", bytes([number]) * 2_000_000)
    with counted(object_store) as traffic:
        monkeypatch.setenv("AWS_ENDPOINT_URL", traffic.address)
        s3fs.S3FileSystem.clear_instance_cache()
        members = tar_members("s3://tar-members/some.tar")
        assert traffic.num_bytes < 1_000_000, "only headers are read"
        traffic.clear()
        assert members["2.mp4"].read(1_000, 51_000) == b"\2" * 50_000
        assert traffic.num_bytes == 50_000
    s3fs.S3FileSystem.clear_instance_cache()
