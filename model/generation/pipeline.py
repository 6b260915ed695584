"""One portrait, speech and a prompt become a video of any length, clip by clip (paper, Sec. 3.2).

Letters: N samples, T pixel frames, C latent channels, F latent frames, H and W latent sides.
"""

import importlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from einops import rearrange
from PIL import Image
from torch import Tensor

from model.codecs.audio import check_waveform, load_speech, num_video_frames
from model.codecs.audio_encoders import AudioEncoder
from model.codecs.image import choose_size, fit_image
from model.codecs.text import encode_text
from model.codecs.vae import Autoencoder, encode_video
from model.generation.clips import DenoisedClip, GeneratedClip
from model.generation.codebook import Codebook
from model.generation.encoded_request import EncodedRequest, ProgressCallback
from model.generation.overlap import decode_in_turn, overlapped, stopped_by
from model.generation.request import VideoRequest
from model.generation.sampling import CleanFrames, Scheduler, denoise
from model.generation.timeline import ClipPlan, num_clips, plan_clips
from model.media.portrait import as_rgb, load_image
from model.network.transformer import SoulTransformer3DModel
from model.weights.directory import CODEBOOK_FILE, check_model_directory, public_home
from model.weights.files import give_usual_mode, locate


@dataclass
class SoulPipelineOutput(BaseOutput):
    """A whole video: `frames` (T, 16H, 16W, 3) uint8 RGB, and the `fps` to show it at."""

    frames: np.ndarray
    fps: int


class SoulPipeline(DiffusionPipeline):
    """Image, speech and prompt to video.

    Guidance is of text and sound apart, see `model.generation.guidance`. The pivot has no sound (zeros) in any clip: in
    training it is mostly a random frame of the source video, so no moment of the sound belongs to it.

    The configuration (`model_index.json`) holds the defaults of a model directory: steps, guidance, fps and
    the geometry of clips. A `codebook.safetensors` in the directory is loaded with it; without one, overlaps
    are not clamped.

    Args:
        transformer: the network.
        vae: a Wan autoencoder, full or efficient, or the patch-DCT codec.
        audio_encoder: Whisper or log-mel bins.
        text_encoder: UMT5 or hashed tokens.
        scheduler: a scheduler of flow matching, see `model.generation.sampling.build_scheduler`.
        tokenizer: UMT5's; None for hashed tokens.
        fps: frames a second (25, as in the published results).
        clip_latents: latent frames of a clip, the pivot included (paper: 28, which are 109 pixel frames).
        overlap_latents: latent frames that a clip takes over from the one before (paper: 2).
        num_inference_steps: denoising steps of a clip (paper: 25).
        guidance_scale: of the text, and of the sound too where `audio_guidance_scale` is None (Wan2.2: 5).
        audio_guidance_scale: of the sound.
        negative_prompt: what guidance leads away from, unless a request says.
        codebook_percentile: τ of the clamp, as a percentile of the training latents' distances. The paper
            leaves τ open; 99 moves only vectors that lie further out than nearly all training latents.
        area: pixels of a frame when no size is asked for.
    """

    model_cpu_offload_seq = "text_encoder->audio_encoder->transformer->vae"
    _optional_components = ["tokenizer"]  # noqa: RUF012 (diffusers' own declaration)

    def __init__(  # noqa: PLR0917 (diffusers' pipelines take their components by position)
        self,
        transformer: SoulTransformer3DModel,
        vae: Autoencoder,
        audio_encoder: AudioEncoder,
        text_encoder: Any,
        scheduler: Scheduler,
        tokenizer: Any = None,
        *,
        fps: int = 25,
        clip_latents: int = 28,
        overlap_latents: int = 2,
        num_inference_steps: int = 25,
        guidance_scale: float = 5.0,
        audio_guidance_scale: float | None = None,
        negative_prompt: str = "",
        codebook_percentile: float = 99.0,
        area: int = 704 * 1280,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            audio_encoder=audio_encoder,
            text_encoder=text_encoder,
            scheduler=scheduler,
            tokenizer=tokenizer,
        )
        self.register_to_config(
            fps=fps,
            clip_latents=clip_latents,
            overlap_latents=overlap_latents,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            audio_guidance_scale=audio_guidance_scale,
            negative_prompt=negative_prompt,
            codebook_percentile=codebook_percentile,
            area=area,
        )
        self.codebook: Codebook | None = None

    @classmethod
    def from_pretrained(cls, source: str | Path, **kwargs: Any) -> Self:
        """Load a model directory or a Hub id; `kwargs` as in diffusers (`dtype`, components, …).

        Raises:
            ValueError: the directory is incomplete or does not fit its configuration; the message names the
                file, and the tensor if there is one.
        """
        directory = locate(source)
        check_model_directory(directory, given=kwargs.keys())
        codebook_file = directory / CODEBOOK_FILE
        codebook = Codebook.load(codebook_file) if codebook_file.is_file() else None
        pipeline: Self = super().from_pretrained(str(directory), **kwargs)
        pipeline.codebook = codebook
        return pipeline

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The directory's `model_index.json`; our classes are found even if they have moved since it was written."""
        config: dict[str, Any] = super().load_config(*args, **kwargs)
        return {name: _found(entry) for name, entry in config.items()}

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write a model directory, the codebook included."""
        super().save_pretrained(str(save_directory), **kwargs)
        give_usual_mode(Path(save_directory).rglob("*.safetensors"))
        if self.codebook is not None:
            self.codebook.save(Path(save_directory) / CODEBOOK_FILE)

    def __call__(
        self, request: VideoRequest, *, on_step: ProgressCallback = lambda _clip, _step: None
    ) -> SoulPipelineOutput:
        """Make the whole video at once; see `stream`."""
        frames = [clip.frames for clip in self.stream(request, on_step=on_step)]
        return SoulPipelineOutput(frames=np.concatenate(frames), fps=self.config.fps)

    def stream(
        self,
        request: VideoRequest,
        *,
        on_step: ProgressCallback = lambda _clip, _step: None,
        overlap: bool = True,
    ) -> Generator[GeneratedClip, None, None]:
        """Check and encode the request now, and return an iterator that makes the video clip by clip.

        The video has ⌈seconds of speech · fps⌉ frames. The memory in use does not grow with their number.

        With `overlap`, the next clip is made while the caller has the last one, in a thread of its own; on a CUDA
        device, one thread denoises a clip while another decodes the clip before it, and the memory of both is in use
        at once. At most one clip waits between any two of them. The frames are the same. The threads have ended when
        the iterator ends, however it does: a clip that is being denoised breaks off after its step. Parts that are
        offloaded take turns on the device, and have no overlap.

        Args:
            request: what is asked for; the directory's defaults hold for what it leaves open.
            on_step: called after every denoising step; with `overlap`, in the thread that denoises.
            overlap: whether clips are denoised, decoded and used at the same time rather than one after the other.

        Raises:
            ValueError: something in the request is wrong; one line that says what.
        """
        return self.clips(self.encode(request, on_step=on_step), overlap=overlap)

    def stream_latents(
        self, request: VideoRequest, *, on_step: ProgressCallback = lambda _clip, _step: None
    ) -> Generator[DenoisedClip, None, None]:
        """The clips of `stream` before they are decoded; arguments and errors as there.

        For the processes that share a network with another one, which decodes.
        """
        return self._denoised(self.encode(request, on_step=on_step))

    def encode(self, request: VideoRequest, *, on_step: ProgressCallback = lambda _clip, _step: None) -> EncodedRequest:
        """Check and encode the request; needs no network. After it, the text encoder is not needed any more.

        Raises:
            ValueError: something in the request is wrong; one line that says what.
        """
        sampling, config = request.sampling, self.config
        picture = as_rgb(request.image) if isinstance(request.image, Image.Image) else load_image(request.image)
        waveform = request.audio if isinstance(request.audio, Tensor) else load_speech(request.audio)
        check_waveform(waveform)
        size = choose_size(
            picture, height=sampling.height, width=sampling.width, area=sampling.area, default_area=config.area
        )
        guidance = sampling.guidance(config.guidance_scale, config.audio_guidance_scale)
        negative_prompt = config.negative_prompt if sampling.negative_prompt is None else sampling.negative_prompt
        threshold = self._threshold(sampling.threshold, sampling.percentile)
        generator = torch.Generator().manual_seed(sampling.seed)
        text, negative_text = self._encode_prompts(request.prompt, negative_prompt if guidance.needs_free else None)
        return EncodedRequest(
            pivot=self._encode_image(fit_image(picture, *size)),
            waveform=waveform,
            audio_encoder=self.audio_encoder,
            num_frames=num_video_frames(len(waveform), config.fps),
            fps=config.fps,
            text=text,
            negative_text=negative_text,
            num_steps=sampling.num_steps(config.num_inference_steps),
            guidance=guidance,
            threshold=threshold,
            seed=int(torch.randint(2**62, (), generator=generator)),
            on_step=on_step,
        )

    def num_clips(self, num_frames: int) -> int:
        """Clips that a video of `num_frames` frames takes."""
        geometry = {name: self.config[name] for name in ("clip_latents", "overlap_latents")}
        return num_clips(num_frames, **geometry)

    def clips(self, request: EncodedRequest, *, overlap: bool = True) -> Generator[GeneratedClip, None, None]:
        """Make the video of an encoded request clip by clip; see `stream`."""
        if not overlap or hasattr(self.vae, "_hf_hook"):
            return decode_in_turn(self._denoised(request), self.vae)
        stopping = Event()
        request = replace(request, on_step=stopped_by(stopping, request.on_step))
        return overlapped(self._denoised(request), self.vae, stopping)

    @torch.no_grad()
    def _denoised(self, request: EncodedRequest) -> Generator[DenoisedClip, None, None]:
        clean = CleanFrames(latents=request.pivot)
        num_overlap = self.config.overlap_latents
        plans = plan_clips(request.num_frames, clip_latents=self.config.clip_latents, overlap_latents=num_overlap)
        for plan in plans:
            latents = self._denoise_clip(request, plan, clean)
            yield DenoisedClip.now(plan, latents)
            overlap = self._clamped(latents[:, :, latents.shape[2] - num_overlap :], request.threshold)
            clean = CleanFrames(latents=torch.cat([request.pivot, overlap], dim=2))

    def _denoise_clip(self, request: EncodedRequest, plan: ClipPlan, clean: CleanFrames) -> Tensor:
        noise, generator = request.noise(plan)
        return denoise(
            self.transformer,
            self.scheduler,
            noise,
            clean,
            condition=request.condition(plan, audio_window=int(self.transformer.config.audio_window)),
            free_text=request.negative_text,
            guidance=request.guidance,
            num_steps=request.num_steps,
            generator=generator,
            on_step=lambda step: request.on_step(plan.index, step),
        )

    @torch.no_grad()
    def _encode_image(self, pixels: Tensor) -> Tensor:
        video = rearrange(pixels, "b c h w -> b c 1 h w")
        return encode_video(self.vae, video.to(self._execution_device)).to(self._execution_device)

    def _encode_prompts(self, prompt: str, negative_prompt: str | None) -> tuple[Tensor, Tensor | None]:
        prompts = [prompt] if negative_prompt is None else [prompt, negative_prompt]
        states = encode_text(self.text_encoder, self.tokenizer, prompts).to(self._execution_device)
        return states[:1], None if negative_prompt is None else states[1:]

    def _clamped(self, overlap: Tensor, threshold: float | None) -> Tensor:
        if self.codebook is None or threshold is None or overlap.shape[2] == 0:
            return overlap
        if self.codebook.centroids.device != overlap.device:
            self.codebook = self.codebook.to(overlap.device)
        return self.codebook.clamp(overlap, threshold=threshold)

    def _threshold(self, threshold: float | None, percentile: float | None) -> float | None:
        if threshold is not None and percentile is not None:
            raise ValueError("give a codebook threshold or a percentile, not both")
        if self.codebook is None:
            if threshold is not None or percentile is not None:
                raise ValueError("a codebook threshold or percentile needs a codebook, and this model has none")
            return None
        if threshold is not None:
            if not threshold >= 0:
                raise ValueError(f"the codebook threshold is a distance, got {threshold}")
            return threshold
        return self.codebook.threshold_at(self.config.codebook_percentile if percentile is None else percentile)


def _found(entry: Any) -> Any:
    """The library and class of a component in `model_index.json`; of a class of ours, the module that holds it now."""
    if not isinstance(entry, list | tuple) or not isinstance(entry[0], str) or public_home(entry[0]) != "model":
        return entry
    return getattr(importlib.import_module("model"), entry[1]).__module__, entry[1]
