"""Does decoder distillation work? Distil a small Wan decoder on drawn faces, and measure it on unseen ones.

    python -m bench.studies.decoder --run RUN            # some minutes on one core

An autoencoder is trained briefly (`small_vae`), clips are encoded with it, `python -m training run --stage evae` trains
a decoder of half its width, and both decode the faces of people that neither has seen. Writes `decoder.json` and
`decoder.png` to `RUN/bench` and prints a table. Given again, it goes on with what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from bench.studies.small_vae import to_pixels, train_small_vae
from bench.studies.talking_faces.dataset import FacesConfig, held_out_performance, make_dataset, training_performance
from bench.studies.talking_faces.performance import FPS, perform
from model.assemble import build_pipeline
from model.cost import decoder_cost
from model.vae import StreamingDecoder, efficient_vae_config, encode_video, latent_frames, wan_vae_config
from training.objectives.decoder.crop_decoder import CropDecoder
from training.objectives.decoder.crops import LatentCrop
from training.objectives.decoder.fidelity import Fidelity

WARMUPS: Final = (0, 1, 2, 4, 8)
CLIP_FRAMES: Final = 49


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoders:
    """Sizes and operations of two decoders."""

    parameters: tuple[int, int]
    """Of the teacher's and the student's."""
    macs: tuple[float, float]
    """Multiplications for 81 frames."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    teacher_directory = _make_teacher(options)
    if status := subprocess.run(_training(options, teacher_directory), check=False).returncode:
        print(f"training ended with status {status}", file=sys.stderr)
        return status
    teacher, student = (
        AutoencoderKLWan.from_pretrained(each / "vae").eval() for each in (teacher_directory, options.run / "model")
    )
    log = [json.loads(line) for line in (options.run / "train/evae/metrics.jsonl").read_text().splitlines()]
    result = {
        "options": {name: str(value) for name, value in vars(options).items()},
        "held_out": _compare(teacher, student, options.held_out),
        "small": asdict(_sizes(dict(teacher.config), dict(student.config), 96, 96)),
        "full_size": asdict(_sizes(wan_vae_config(), efficient_vae_config(), 720, 1280)),
        "forgetting": _forgetting(teacher),
        "log": log,
        "seconds": round(time.perf_counter() - start, 1),
    }
    folder = options.run / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decoder.json").write_text(json.dumps(result, indent=1))
    _draw(folder / "decoder.png", log)
    _print(result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.studies.decoder", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--run", type=Path, required=True, help="run directory of the study")
    add("--videos", type=int, default=24, help="videos that are trained on (default: %(default)s)")
    add("--vae-steps", type=int, default=200, help="steps of the autoencoder; 0: random weights (default: %(default)s)")
    add("--steps", type=int, default=150, help="steps of the distillation (default: %(default)s)")
    add("--held-out", type=int, default=4, help="unseen people to measure on (default: %(default)s)")
    add("--threads", type=int, default=1)
    return parser


def _make_teacher(options: argparse.Namespace) -> Path:
    """A model directory with a small autoencoder, and the clips that it encoded."""
    directory: Path = options.run / "teacher"
    faces = FacesConfig(num_videos=options.videos, clips_per_video=1, clip_frames=CLIP_FRAMES, num_references=1)
    if not (directory / "model_index.json").is_file():
        takes = [perform(training_performance(faces, number)).frames for number in range(options.videos)]
        pipeline = build_pipeline("tiny", area=faces.size**2, clip_latents=latent_frames(CLIP_FRAMES))
        pipeline.register_modules(vae=train_small_vae(takes, steps=options.vae_steps))
        pipeline.save_pretrained(directory)
    vae = AutoencoderKLWan.from_pretrained(directory / "vae").eval()
    make_dataset(options.run, faces, vae=vae)
    return directory


def _training(options: argparse.Namespace, teacher: Path) -> list[str]:
    settings = (f"steps={options.steps}", "batch_size=2", "micro_batch=2", "data.workers=0")
    looks = ("validation.every=25", "validation.videos=1", "validation.loss_samples=2")
    return [
        *(sys.executable, "-m", "training", "run", "--stage", "evae"),
        *("--run", str(options.run), "--profile", "local", "--model", str(teacher)),
        *(word for setting in settings + looks for word in ("--set", setting)),
    ]


@torch.no_grad()
def _compare(teacher: AutoencoderKLWan, student: AutoencoderKLWan, num_people: int) -> dict[str, dict[str, float]]:
    """PSNR and SSIM over unseen people; all are decoded as streams."""
    pairs = {"student against teacher": Fidelity(), "teacher against original": Fidelity()}
    pairs["student against original"] = Fidelity()
    for number in range(num_people):
        frames = perform(held_out_performance(number, duration_s=CLIP_FRAMES / FPS)).frames[:CLIP_FRAMES]
        original = to_pixels(frames)
        latents = encode_video(teacher, original)
        theirs, ours = StreamingDecoder(teacher)(latents), StreamingDecoder(student)(latents)
        pairs["student against teacher"].add(ours, theirs)
        pairs["teacher against original"].add(theirs, original)
        pairs["student against original"].add(ours, original)
    return {name: fidelity.values() for name, fidelity in pairs.items()}


@torch.no_grad()
def _forgetting(teacher: AutoencoderKLWan) -> dict[int, float]:
    """How far four frames decoded after so many warm-up latents are from those after all, relative to their spread."""
    frames = perform(held_out_performance(0, duration_s=CLIP_FRAMES / FPS)).frames[:CLIP_FRAMES]
    latents = encode_video(teacher, to_pixels(frames))
    decoder, last = CropDecoder(teacher, ()), latents.shape[2] - 1

    def after(warmup: int) -> Tensor:
        piece = LatentCrop(latents=latents[:, :, last - warmup :], num_warmup=warmup, start=(last, 0, 0))
        pixels: Tensor = decoder(piece).pixels
        return pixels[:, :, -1]

    whole = after(last)
    return {warmup: float((after(warmup) - whole).square().mean().sqrt() / whole.std()) for warmup in WARMUPS}


def _sizes(teacher: dict[str, Any], student: dict[str, Any], height: int, width: int) -> Decoders:
    with torch.device("meta"):
        both = [AutoencoderKLWan.from_config(config) for config in (teacher, student)]
    parameters = [sum(each.numel() for each in vae.decoder.parameters()) for vae in both]
    macs = [decoder_cost(vae, height, width).flops(latent_frames(81)) / 2 for vae in both]
    return Decoders(parameters=(parameters[0], parameters[1]), macs=(macs[0], macs[1]))


def _draw(path: Path, log: list[dict[str, float]]) -> None:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    names = ("pixel_loss", "feature_loss", "validation_psnr")
    for panel, name in zip(figure.subplots(1, len(names)), names, strict=True):
        lines = [line for line in log if name in line]
        panel.plot([line["step"] for line in lines], [line[name] for line in lines])
        panel.set(title=name.replace("_", " "), xlabel="step")
    figure.savefig(path, dpi=110)


def _print(result: dict[str, Any]) -> None:
    for name, values in result["held_out"].items():
        print(f"{name:<26} PSNR {values['psnr']:6.2f} dB   SSIM {values['ssim']:.4f}")
    for name in ("small", "full_size"):
        (wide, narrow), (many, few) = result[name]["parameters"], result[name]["macs"]
        print(f"{name:<26} parameters {wide:,} : {narrow:,} = {wide / narrow:.2f}   MACs {many / few:.2f}")
    forgotten = "  ".join(f"{warmup}: {value:.3f}" for warmup, value in result["forgetting"].items())
    print(f"error after warm-up        {forgotten}")
    print(f"seconds                    {result['seconds']}")


if __name__ == "__main__":
    raise SystemExit(main())
