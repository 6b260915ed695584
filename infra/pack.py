"""The code and the wheels that a machine without network lacks, in one file: `python -m infra.pack --out soul.tar`.

On that machine, `tar xf soul.tar` and `sh run.sh DIR` install the wheels beside the code and run
`python -m bench.gpu_check --out DIR`. Versions are those of infra/environments/train-cuda.txt. What a packed package
needs is packed too, unless the machine has it.
"""

from __future__ import annotations

import argparse
import email
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.command_line import CommandFailedError, Parser, exit_status
from infra.config import ConfigError

ROOT: Final = Path(__file__).resolve().parents[1]
PINS: Final = ROOT / "infra" / "environments" / "train-cuda.txt"

NEEDS: Final = (
    "accelerate,av,deepspeed,diffusers,einops,ftfy,matplotlib,numpy,peft,pi-heif,pillow,psutil,pyarrow,pydantic,"
    "pyyaml,rich,safetensors,scikit-image,scipy,sentencepiece,soundfile,soxr,tensorboard,torch,transformers"
)
"""What `bench.gpu_check` imports."""

HAVE: Final = (
    "accelerate,certifi,charset-normalizer,einops,filelock,fsspec,huggingface-hub,idna,jinja2,matplotlib,msgpack,ninja,"
    "numpy,opencv-python-headless,packaging,peft,pillow,psutil,pyarrow,pyyaml,regex,requests,rich,safetensors,"
    "scikit-image,scipy,setuptools,tensorboard,tokenizers,torch,tqdm,transformers,triton,typing-extensions,urllib3"
)
"""What a machine for work with PyTorch and transformers has."""

RUN: Final = """\
#!/bin/sh
# Install the wheels beside the code, and check the GPU: sh run.sh DIR [more options of bench.gpu_check]
set -e
test $# -gt 0 || { echo "soul: give the directory for the figures: sh run.sh DIR" >&2; exit 2; }
case "$1" in /*) out="$1" ;; *) out="$PWD/$1" ;; esac
shift
cd "$(dirname "$0")"
if test ! -d site; then
    rm -rf site.part
    ${PYTHON:-python3} -m pip install --quiet --no-index --no-deps --target site.part wheels/*.whl
    mv site.part site
fi
export PYTHONPATH="$PWD:$PWD/site"
exec ${PYTHON:-python3} -m bench.gpu_check --out "$out" "$@"
"""

_PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackConfig:
    """What is packed, and for which machine (Linux, x86-64)."""

    out: Path
    """The tar file that is written, compressed."""
    python: str = "3.12"
    """Version of the machine's Python."""
    needs: tuple[str, ...] = tuple(NEEDS.split(","))
    """Packages that the code needs."""
    have: tuple[str, ...] = tuple(HAVE.split(","))
    """Packages that the machine has, with all that these need."""
    pins: Path = PINS
    """Requirements file with the version of each package."""
    limit_mb: float = 60.0
    """Largest size of the file, in 10⁶ bytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    default = PackConfig(out=Path())
    add("--out", type=Path, required=True, metavar="FILE", help="the tar file to write, compressed")
    add(
        "--python", default=default.python, metavar="X.Y", help="version of the machine's Python (default: %(default)s)"
    )
    add("--needs", type=_names, default=default.needs, metavar="A,B", help=f"packages to bring (default: {NEEDS})")
    add("--have", type=_names, default=default.have, metavar="A,B", help=f"packages that are there (default: {HAVE})")
    add("--pins", type=Path, default=PINS, metavar="FILE", help="versions (default: infra/environments/train-cuda.txt)")
    add("--limit-mb", type=float, default=default.limit_mb, metavar="MB", help="refuse a larger file (default: 60)")


def pack(config: PackConfig) -> list[tuple[str, int]]:
    """Write the file; returns its wheels with their sizes.

    Raises:
        ConfigError: a package has no version, or the file would be too large.
        CommandFailedError: pip or git failed.
    """
    with tempfile.TemporaryDirectory(prefix="soul-pack-") as folder:
        wheels = _wheels(config, Path(folder))
        unfinished = config.out.with_name(f"{config.out.name}.part")
        try:
            _write(unfinished, wheels)
            sizes = sorted(((wheel.name, wheel.stat().st_size) for wheel in wheels), key=lambda each: -each[1])
            size = unfinished.stat().st_size
            if size > config.limit_mb * 1e6:
                largest = ", ".join(f"{name} {bytes_ / 1e6:.1f} MB" for name, bytes_ in sizes[:3])
                too_large = f"{config.out} would have {size / 1e6:.1f} MB, more than {config.limit_mb:g} MB"
                raise ConfigError(f"{too_large} (largest: {largest})")
            unfinished.replace(config.out)
        finally:
            unfinished.unlink(missing_ok=True)
    return sizes


def _wheels(config: PackConfig, folder: Path) -> list[Path]:
    """The wheels of what is needed and not there, and of what these need in turn."""
    versions = _versions(config.pins)
    have = {canonicalize_name(name) for name in config.have}
    waiting: list[str] = [canonicalize_name(name) for name in config.needs]
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in have or name in found:
            continue
        if name not in versions:
            raise ConfigError(f"{name}: {config.pins} has no version of it; leave it out with --have if it is there")
        found[name] = _wheel(f"{name}=={versions[name]}", name in _sources(config.pins), folder / name, config.python)
        waiting += _required(found[name], config.python)
    return list(found.values())


def _wheel(requirement: str, is_source: bool, folder: Path, python: str) -> Path:  # noqa: FBT001
    """The one wheel of a requirement: downloaded, or made from its source, which must be plain Python."""
    words = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if is_source:
        words += ["wheel", "--no-deps", "--wheel-dir", str(folder), requirement]
    else:
        platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
        words += ["download", "--no-deps", "--only-binary=:all:", *platforms, "--implementation", "cp"]
        words += ["--python-version", python, "--dest", str(folder), requirement]
    _output(words, {"DS_BUILD_OPS": "0"})
    (wheel,) = folder.glob("*.whl")
    if is_source and not wheel.name.endswith("-none-any.whl"):
        raise CommandFailedError(f"{requirement}: its wheel is for this machine alone: {wheel.name}")
    return wheel


def _required(wheel: Path, python: str) -> list[str]:
    """Names of the packages that a wheel needs on the machine, without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    environment = {name: str(value) for name, value in default_environment().items()}
    environment |= {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    environment |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    asked = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    return [canonicalize_name(each.name) for each in asked if each.marker is None or each.marker.evaluate(environment)]


def _versions(pins: Path) -> dict[str, str]:
    try:
        lines = pins.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{pins}: {error.strerror}") from error
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith(("#", "-"))]
    return {canonicalize_name(name): version for name, _, version in pairs}


def _sources(pins: Path) -> set[str]:
    """Packages that the file takes as source."""
    lines = pins.read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.partition("=")[2]) for line in lines if line.startswith("--no-binary=")}


def _write(file: Path, wheels: Sequence[Path]) -> None:
    tracked = _output(["git", "-C", str(ROOT), "ls-files", "-z"]).split("\0")
    try:
        with tarfile.open(file, "w:gz") as archive:
            for name in filter(None, tracked):
                # A file may have been removed and not yet be committed.
                if (ROOT / name).is_file():
                    archive.add(ROOT / name, arcname=name)
            for wheel in wheels:
                archive.add(wheel, arcname=f"wheels/{wheel.name}")
            script = tarfile.TarInfo("run.sh")
            script.size, script.mode = len(RUN.encode()), 0o755
            archive.addfile(script, io.BytesIO(RUN.encode()))
    except OSError as error:
        raise ConfigError(f"--out {file.with_suffix('')}: {error.strerror}") from error


def _output(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """What a command prints.

    Raises:
        CommandFailedError: it failed; with the last line of its errors.
    """
    try:
        done = subprocess.run(
            words, env=os.environ | (environment or {}), check=False, capture_output=True, text=True, encoding="utf-8"
        )
    except FileNotFoundError as error:
        raise CommandFailedError(f"{words[0]}: no such program") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise CommandFailedError(f"{' '.join(words[:4])} …: {lines[-1]}")
    return done.stdout


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""

    def work() -> None:
        parser = Parser(
            prog="python -m infra.pack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add_arguments(parser)
        config = PackConfig(**vars(parser.parse_args(arguments)))
        for name, size in pack(config):
            print(f"{size / 1e6:7.1f} MB  {name}")
        print(
            f"{config.out.stat().st_size / 1e6:7.1f} MB  {config.out}: there, tar xf {config.out.name}; sh run.sh DIR"
        )

    return exit_status(work, interrupted="nothing is written")


if __name__ == "__main__":
    sys.exit(main())
