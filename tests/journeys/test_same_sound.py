"""The same sound reaches the network in the same way, whether a clip is encoded for training or a video is made."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from curation.encoding.config import EncodeConfig
from curation.encoding.encoded import EncodedSample
from curation.encoding.networks import ClipEncoder
from curation.encoding.waveform import lay_out_sound
from model.codecs.audio import CONTEXT_STEPS
from model.codecs.audio_encoders import WhisperAudioEncoder
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.pretrained.assemble import build_pipeline
from tests.worlds.encoded_run import SampleSpec, make_sample
from training.data.conditioning import audio_windows

SECONDS = 46
CLIP_FRAMES = 109


@pytest.fixture(scope="module")
def pipeline() -> SoulPipeline:
    """The tiny network with a Whisper of random weights, whose features depend on where in its window the sound is."""
    pipeline = build_pipeline("tiny")
    torch.manual_seed(0)
    whisper = WhisperAudioEncoder(
        num_mel_bins=80, d_model=16, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=16
    )
    pipeline.register_modules(audio_encoder=whisper.eval())
    return pipeline


@pytest.fixture(scope="module")
def waveform() -> Tensor:
    return torch.randn(SECONDS * 16_000, generator=torch.Generator().manual_seed(1)) * 0.05


@pytest.fixture(scope="module")
def heard(pipeline: SoulPipeline, waveform: Tensor) -> list[Tensor]:
    """(F, T, A): what the network hears in each clip of a video that is streamed."""
    clips: list[Tensor] = []

    def note(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        clips.append(args[3][0])

    handle = pipeline.transformer.register_forward_pre_hook(note)
    sampling = Sampling(steps=1, guidance_scale=1.0, height=32, width=32)
    request = VideoRequest(image=Image.new("RGB", (32, 32)), audio=waveform, prompt="a person", sampling=sampling)
    frames = sum(len(clip.frames) for clip in pipeline.stream(request))
    handle.remove()
    assert frames == SECONDS * 25
    return clips


@pytest.fixture(scope="module")
def encoder(pipeline: SoulPipeline, tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    directory = tmp_path_factory.mktemp("model") / "model"
    pipeline.save_pretrained(directory)
    return ClipEncoder(str(directory), EncodeConfig())


@pytest.mark.parametrize("at_s", [0, 5, 20, 40])
@pytest.mark.parametrize("lead", [6, 8])
def test_a_clip_sounds_the_same_in_training_and_in_generation(
    heard: list[Tensor], encoder: ClipEncoder, waveform: Tensor, at_s: int, lead: int
) -> None:
    """Curation kept what the video's clip at `at_s` shows, or the clip before, with `lead` frames on each side."""
    number = at_s // 4
    first_frame = 100 * number
    before = min(lead, first_frame)
    kept = waveform[(first_frame - before) * 640 : (first_frame + CLIP_FRAMES + lead) * 640]
    sound = lay_out_sound(kept, start=before, num_frames=CLIP_FRAMES, fps=25)
    trained_on = as_trained(encoder.sound(sound))
    assert torch.equal(heard[number].half(), trained_on.half())
    assert trained_on[1:].abs().sum() > 0


def as_trained(features: Tensor) -> Tensor:
    """(F, T, A): what a clip with these features hears in training."""
    made: EncodedSample = make_sample(SampleSpec(latent_frames=28), "clip")
    sample = dataclasses.replace(made, audio_features=features, audio_first_step=-CONTEXT_STEPS)
    return audio_windows(sample, window=16, audio_dim=80)
