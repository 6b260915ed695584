"""The card of a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import yaml
from huggingface_hub import EvalResult, ModelCardData

from infra.hub.card import render_card
from model.weights.directory import INDEX_FILE
from model.weights.files import read_json, read_shapes
from training.push.trained import Trained

TEMPLATE: Final = Path(__file__).with_name("model_card.md.j2")
SAMPLES: Final = "samples"
"""Folder of the sample videos in the repository."""
NAMES: Final = {
    "validation_loss": "loss on held-out clips",
    "validation_psnr": "PSNR against the teacher's decoder, dB",
    "validation_ssim": "SSIM against the teacher's decoder",
    "validation_lpips": "LPIPS against the teacher's decoder",
}
"""Of what a validation measures, for people."""


def model_card(directory: Path, trained: Trained | None, *, name: str, base_model: str, license_id: str) -> str:
    """The text of a model directory's card.

    Args:
        directory: the model directory.
        trained: what made it, if that is known.
        name: of the model.
        base_model: repository of what training began with; empty if there is none.
        license_id: as the Hub writes licences; empty if none is given.
    """
    data: Any = ModelCardData(
        license=license_id or None,
        base_model=base_model or None,
        pipeline_tag="image-to-video",
        tags=["soul", "talking-head", "audio-driven", "image-to-video"],
        model_name=name,
        eval_results=_results(trained) or None,
    )
    index = read_json(directory / INDEX_FILE)
    values = {
        "name": name,
        "to": name,
        "components": _components(directory, index),
        "index": index,
        "gigabytes": sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e9,
        "trained": trained,
        "names": NAMES,
        "samples": SAMPLES,
        "recipe": "" if trained is None else yaml.safe_dump(dict(trained.recipe), sort_keys=True, allow_unicode=True),
        "base_model": base_model,
        "license_id": license_id,
    }
    return render_card(TEMPLATE, data.to_dict(), values)


def _components(directory: Path, index: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Folder, class and number of parameters of each part."""
    found = []
    for name, entry in index.items():
        if isinstance(entry, list) and entry[0] is not None:
            files = (directory / name).glob("*.safetensors")
            found.append(
                (name, str(entry[1]), sum(prod(shape) for file in files for shape in read_shapes(file).values()))
            )
    return found


def _results(trained: Trained | None) -> list[EvalResult]:
    if trained is None:
        return []
    return [
        EvalResult(
            task_type="image-to-video",
            dataset_type="held-out",
            dataset_name="held-out clips of the training data",
            metric_type=name.removeprefix("validation_"),
            metric_name=NAMES.get(name, name),
            metric_value=value,
        )
        for name, value in trained.validation.items()
        if value is not None
    ]
