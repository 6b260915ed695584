"""Pieces of tensors in files: what other ranges are read back, and what is noticed."""

import errno
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.distributed.pieces import Piece, PieceFiles, digest_of, write_pieces

WHOLE = torch.arange(10, dtype=torch.float32) + 0.5


def write(folder: Path, *ends: int) -> list[Path]:
    """A file of each range of `WHOLE` that ends there, with a second tensor behind it."""
    paths, start = [], 0
    for number, end in enumerate(ends):
        paths.append(folder / f"{number}.safetensors")
        pieces = [Piece(name="whole", start=start, data=WHOLE[start:end])]
        pieces.append(Piece(name=f"other {number}", start=7, data=torch.full((3,), float(number))))
        write_pieces(paths[-1], pieces)
        start = end
    return paths


@pytest.mark.parametrize("ends", [(10,), (3, 10), (1, 2, 9, 10), (5, 5, 10)])
def test_any_range_is_read_from_any_others(tmp_path: Path, ends: tuple[int, ...]) -> None:
    with PieceFiles(write(tmp_path, *ends)) as files:
        for start in range(11):
            for end in range(start, 11):
                assert torch.equal(files.read("whole", start, end - start), WHOLE[start:end])
        assert torch.equal(files.read("other 0", 8, 2), torch.zeros(2))


def test_values_that_are_not_there_are_missed(tmp_path: Path) -> None:
    first, _, last = write(tmp_path, 3, 6, 10)
    with PieceFiles([first, last]) as files:
        assert len(files.read("whole", 6, 4)) == 4
        with pytest.raises(ValueError, match="7 of 10 values of whole are there"):
            files.read("whole", 0, 10)
        with pytest.raises(ValueError, match="0 of 2 values of another are there"):
            files.read("another", 0, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_types_and_values_stay(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.tensor([0, 1, 0, 1, 1]).to(dtype)
    path = tmp_path / "a.safetensors"
    write_pieces(path, [Piece(name="values", start=0, data=values)])
    with PieceFiles([path]) as files:
        read = files.read("values", 1, 4)
    assert read.dtype == dtype
    assert torch.equal(read, values[1:])


def test_a_file_is_of_the_safetensors_format(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 10)
    assert torch.equal(load_file(path)["whole"], WHOLE)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    told = write_pieces(path, [Piece(name="whole", start=0, data=WHOLE[::2])])
    assert told == digest_of(path) == {"bytes": path.stat().st_size, "crc32": zlib.crc32(path.read_bytes())}


def test_what_is_open_can_be_read_after_it_was_deleted(tmp_path: Path) -> None:
    paths = write(tmp_path, 4, 10)
    digests = {path: digest_of(path) for path in paths}
    with PieceFiles(paths) as files:
        for path in paths:
            path.unlink()
        assert torch.equal(files.read("whole", 0, 10), WHOLE)
        assert files.digests() == digests


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for content in (b"", b"12345678", b"\x02\0\0\0\0\0\0\0{}"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.safetensors is not a file of pieces"):
            PieceFiles([path])


def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'") as raised:
        write_pieces(Path("/dev/full"), [Piece(name="whole", start=0, data=WHOLE)])
    assert raised.value.errno == errno.ENOSPC
