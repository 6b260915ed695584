"""The model directory of the shipped network: weights, examples to try it with, and its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import soundfile
import torch
from jinja2 import StrictUndefined, Template
from PIL import Image

from bench.studies.talking_faces.dataset import held_out_performance
from bench.studies.talking_faces.face import Pose, draw_face
from bench.studies.talking_faces.performance import perform
from bench.studies.talking_faces.prompt import captions
from model.codecs.audio import SAMPLE_RATE_HZ
from model.codecs.patch_dct import PatchDCTCodec
from model.generation.codebook import Codebook
from model.generation.pipeline import SoulPipeline
from model.weights.directory import check_model_directory
from model.weights.examples import EXAMPLES_FILE

CARD: Final = Path(__file__).with_name("shipped_card.md.j2")
SPEECH_S: Final = 6.0
PORTRAIT_SCALE: Final = 3
"""Portraits are drawn larger than the videos, as people's own are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Speaker:
    name: str
    index: int
    """Of the held-out performance."""


SPEAKERS: Final = (_Speaker(name="ada", index=5_004), _Speaker(name="ben", index=5_013))


def write_model(out: Path, student: Path, codec: PatchDCTCodec, codebook: Path) -> None:
    """Put a student, a codec that mends its pictures and a codebook together; `out` is replaced.

    The network is stored in fp16, which halves the directory.
    """
    pipeline = SoulPipeline.from_pretrained(student, dtype=torch.float32)
    pipeline.register_modules(vae=codec)
    pipeline.codebook = Codebook.load(codebook)
    pipeline.transformer.half()
    aside = out.with_name(f"{out.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    pipeline.save_pretrained(aside)
    _forget_origin(aside)
    check_model_directory(aside)
    shutil.rmtree(out, ignore_errors=True)
    aside.replace(out)


def _forget_origin(directory: Path) -> None:
    """Leave out where the parts came from, which nobody else has."""
    for file in directory.rglob("*.json"):
        about = json.loads(file.read_text())
        about.pop("_name_or_path", None)
        file.write_text(json.dumps(about, indent=2) + "\n")


def write_examples(out: Path) -> None:
    """Portraits and speech of people whom no training saw, as `model.weights.examples` reads them."""
    folder = (out / EXAMPLES_FILE).parent
    folder.mkdir(exist_ok=True)
    entries = []
    for speaker in SPEAKERS:
        performance = held_out_performance(speaker.index, duration_s=SPEECH_S)
        portrait = next(draw_face(performance.identity, [Pose()], size=160 * PORTRAIT_SCALE))
        Image.fromarray(portrait).save(folder / f"{speaker.name}.png", optimize=True)
        waveform = perform(performance).waveform.numpy()
        soundfile.write(folder / f"{speaker.name}.wav", waveform, SAMPLE_RATE_HZ, subtype="PCM_16")
        entries.append(
            {
                "name": speaker.name,
                "image": f"{speaker.name}.png",
                "audio": f"{speaker.name}.wav",
                "prompt": captions(performance.identity, performance.motion)[0],
            }
        )
    (out / EXAMPLES_FILE).write_text(json.dumps({"examples": entries}, indent=1) + "\n")


def write_card(out: Path, report: Mapping[str, Any]) -> None:
    """What the network is, what it was made from, and what it can do, in the form of the Hub's model cards.

    Args:
        out: the model directory.
        report: what `bench.studies.shipped_network` writes.
    """
    megabytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    template = Template(CARD.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    (out / "README.md").write_text(template.render(**report, megabytes=megabytes))
