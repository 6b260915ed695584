"""Two gloo ranks make one video: one decodes and writes it, the other only denoises."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from model.codecs.vae import StreamingDecoder
from model.generation.make_video import VideoInputs, help_denoising, make_video
from model.generation.request import Sampling
from model.network.sequence_parallel import SequenceParallel
from tests.worlds.fresh_process import fresh_processes
from tests.worlds.pipelines import asked, noise, picture, small_pipeline, write_wav

SPEECH = noise(1.0)
"""25 frames: two clips of six latents."""


def run_rank(rank: int, folder: str) -> None:
    """Make a video in two ranks, and its frames again with both decoding; write what came of it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    pipeline = small_pipeline(clip_latents=6)
    inputs = VideoInputs(image=picture(), audio=Path(folder, "speech.wav"), waveform=SPEECH, prompt="a person speaks")
    decoded, decode = [], StreamingDecoder._decode

    def counted(decoder: StreamingDecoder, raw: torch.Tensor) -> torch.Tensor:
        decoded.append(raw)
        return decode(decoder, raw)

    StreamingDecoder._decode = counted  # type: ignore[assignment,method-assign]
    results: dict[str, Any] = {}
    with SequenceParallel(pipeline.transformer):
        if rank == 0:
            make_video(pipeline, inputs, Sampling(), Path(folder, "shared.mp4"))
        else:
            help_denoising(pipeline, inputs, Sampling())
        results["decoded"] = len(decoded)
        # With and without the other's help, in the thread that denoises and in the caller's.
        if rank == 0:
            results["shared"] = [clip.frames for clip in pipeline.stream(asked(audio=SPEECH))]
        else:
            list(pipeline.stream_latents(asked(audio=SPEECH)))
        results["both"] = [clip.frames for clip in pipeline.stream(asked(audio=SPEECH), overlap=False)]
    torch.save(results, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    write_wav(folder / "speech.wav", SPEECH)
    ranks = [fresh_processes().Process(target=run_rank, args=(rank, str(folder)), daemon=True) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=120)
    assert [process.exitcode for process in ranks] == [0, 0]
    return folder


def test_one_rank_decodes_and_the_other_does_not(folder: Path) -> None:
    assert [torch.load(folder / f"{rank}.pt", weights_only=False)["decoded"] for rank in range(2)] == [7, 0]
    assert (folder / "shared.mp4").exists()


def test_the_frames_are_those_of_all_ranks_decoding_and_of_one_rank(folder: Path) -> None:
    results = torch.load(folder / "0.pt", weights_only=False)
    shared = np.concatenate(results["shared"])
    assert shared.shape == (25, 64, 64, 3)
    assert np.array_equal(shared, np.concatenate(results["both"]))
    # Sums in another order: the nearest of 256 levels differs here and there.
    alone = small_pipeline(clip_latents=6)(asked(audio=SPEECH)).frames
    assert np.abs(shared.astype(int) - alone).max() <= 1
    assert (shared != alone).mean() < 1e-3
