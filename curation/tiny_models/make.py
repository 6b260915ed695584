"""All tiny models in one directory, under the names that `production-tiny` gives them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.config import ConfigError

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be made, and from what."""

    out: Path
    """The directory."""
    only: Collection[str] = ()
    """Names of `MODELS`; empty for all of them."""
    retinaface: Path | None = None
    """Real weights to copy: the published MobileNet's are as small as random ones, and they find faces."""
    finevq_code: Path | None = None
    """FineVQ's own code, by which alone its network can be made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyModel:
    """One of them."""

    file: str
    """File or directory that it is written to."""
    write: Callable[[Path, Wish], None]
    """Imports its libraries when it is called."""
    environment: str | None = None
    """The environment in which alone it can be made."""


def make_tiny_models(wish: Wish) -> Iterator[tuple[str, Path]]:
    """Make them one after the other, and give the name and path of each when it is there.

    Raises:
        ConfigError: a file or an environment that is needed is not there.
    """
    names = [name for name in MODELS if name in wish.only] if wish.only else list(MODELS)
    if wish.finevq_code is None and not wish.only:
        names.remove("finevq")
    _check(wish, names)
    wish.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = wish.out / MODELS[name].file
        MODELS[name].write(path, wish)
        yield name, path


def _check(wish: Wish, names: Collection[str]) -> None:
    """Look for all that is needed before the first is made."""
    if unknown := sorted(set(wish.only) - MODELS.keys()):
        raise ConfigError(f"--only: no model {', '.join(unknown)}; known: {', '.join(MODELS)}")
    if wish.retinaface is not None and not wish.retinaface.is_file():
        raise ConfigError(f"--retinaface: no such file: {wish.retinaface}")
    if "finevq" in names and (wish.finevq_code is None or not (wish.finevq_code / "internvl").is_dir()):
        raise ConfigError("--finevq-code: give the directory of FineVQ's repository, in which internvl/ lies")
    for environment in sorted({model.environment for name in names if (model := MODELS[name]).environment} - {None}):
        _python(environment)


def _python(environment: str | None) -> Path:
    from infra.jobs.environments import environment_python  # noqa: PLC0415 (imports Ray)

    assert environment is not None
    return environment_python(environment)


def _run(environment: str, module: str, *arguments: Path | str) -> None:
    """Run a module of ours by the Python of another environment.

    Raises:
        ConfigError: it failed.
    """
    made = subprocess.run(
        [_python(environment), "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        lines = made.stderr.strip().splitlines() or ["it said nothing"]
        raise ConfigError(f"{module} failed in the environment {environment}: {lines[-1]}")


def _dinov2(path: Path, _: Wish) -> None:
    from curation.tiny_models.dinov2 import write_dinov2  # noqa: PLC0415

    write_dinov2(path)


def _syncnet(path: Path, _: Wish) -> None:
    from curation.tiny_models.syncnet import write_syncnet  # noqa: PLC0415

    write_syncnet(path)


def _retinaface(path: Path, wish: Wish) -> None:
    if wish.retinaface is not None:
        shutil.copyfile(wish.retinaface, path)
        return
    from curation.tiny_models.retinaface import write_retinaface  # noqa: PLC0415

    write_retinaface(path)


def _rtmo(path: Path, _: Wish) -> None:
    from curation.tiny_models.pose import write_rtmo  # noqa: PLC0415

    write_rtmo(path)


def _rtmpose(path: Path, _: Wish) -> None:
    from curation.tiny_models.pose import write_rtmpose  # noqa: PLC0415

    write_rtmpose(path)


def _qwen3_vl(path: Path, _: Wish) -> None:
    from curation.tiny_models.qwen_vl import write_qwen3_vl  # noqa: PLC0415

    write_qwen3_vl(path)


def _qwen2_5_vl(path: Path, _: Wish) -> None:
    from curation.tiny_models.qwen_vl import write_qwen2_5_vl  # noqa: PLC0415

    write_qwen2_5_vl(path)


def _paddle_text(path: Path, _: Wish) -> None:
    _run("paddle", "curation.tiny_models.paddle_text", path)


def _finevq(path: Path, wish: Wish) -> None:
    assert wish.finevq_code is not None
    _run("finevq", "curation.tiny_models.finevq", "--code", wish.finevq_code.absolute(), "--out", path.absolute())


MODELS: Final = {
    "dinov2": TinyModel(file="dinov2", write=_dinov2),
    "syncnet": TinyModel(file="syncnet_v2.model", write=_syncnet),
    "retinaface": TinyModel(file="retinaface.pth", write=_retinaface),
    "rtmo": TinyModel(file="rtmo.onnx", write=_rtmo),
    "rtmpose": TinyModel(file="rtmpose.onnx", write=_rtmpose),
    "qwen3_vl": TinyModel(file="qwen3_vl", write=_qwen3_vl),
    "qwen2_5_vl": TinyModel(file="qwen2_5_vl", write=_qwen2_5_vl),
    "paddle_text": TinyModel(file="PP-OCRv5_mobile_det", write=_paddle_text, environment="paddle"),
    "finevq": TinyModel(file="finevq", write=_finevq, environment="finevq"),
}
"""By name."""
