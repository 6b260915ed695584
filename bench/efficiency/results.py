"""The figures of one run: the fields of the JSON file. Times are medians in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuringConditions:
    """What was measured, on what and how."""

    command: str
    """The command line."""
    model: str
    """Preset or directory."""
    weights: str
    """`random` or `directory`."""
    device: str
    """What the device calls itself."""
    device_memory_bytes: int
    """Memory of the device."""
    peak_bf16_flops: float | None
    """Operations a second by the data sheet; None where not known."""
    torch: str
    """Version."""
    cuda: str | None
    """Version that torch is built for."""
    diffusers: str
    """Version."""
    python: str
    """Version."""
    dtype: str
    """Of the network."""
    vae_dtype: str
    """Of the autoencoders."""
    attention: str
    """diffusers' attention backend that was asked for; the notes say what `auto` has chosen."""
    compile: str
    """Whether the network's blocks were to be compiled."""
    quantization: str
    """What the linear layers of the blocks compute in, where it is not `dtype`; `none` otherwise."""
    cache: str | None
    """The step cache of the rows that name it."""
    measure: str
    """`full`: every loop was run; `forward`: one forward was timed and multiplied."""
    warmup: int
    """Runs before the timed ones."""
    repeats: int
    """Timed runs, of which the median is given."""
    batch_size: int
    """Videos at once."""
    num_frames: int
    """Pixel frames of a clip."""
    fps: int
    """Pixel frames a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderRow:
    """One row of the paper's Tab. 1."""

    name: str
    """Which autoencoder."""
    weights: str
    """`random`, or where they come from."""
    encoder_parameters: int
    """Of the encoder."""
    decoder_parameters: int
    """Of the decoder."""
    counted_at: str
    """FRAMESxHEIGHTxWIDTH of the operations."""
    encoder_macs: float
    """Multiply-accumulates to encode a clip."""
    decoder_macs: float
    """Multiply-accumulates to decode it."""
    timed_at: str
    """FRAMESxHEIGHTxWIDTH of the time."""
    decode_s: float
    """Time to decode a clip as a stream."""
    decode_speedup: float
    """The first row's time divided by this one's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheEffect:
    """What a step cache gains and costs."""

    skipped_blocks: float
    """Share of the network's blocks that it skipped."""
    relative_error: float
    """How far the latents are from those without it: the norm of the difference over the norm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceRow:
    """One row of the paper's Tab. 3: one clip."""

    sampling: str
    """How the clip is denoised."""
    steps: int
    """Denoising steps."""
    guided: bool
    """Whether each step runs the network twice."""
    forwards: int
    """Forwards of the network: counted where the loop was run."""
    extrapolated: bool
    """Whether `dit_s` is one forward's time, multiplied by the number of forwards."""
    decoder: str
    """Which autoencoder decodes."""
    cached: CacheEffect | None
    """What a step cache did; None without one."""
    dit_s: float
    """Denoising."""
    decode_s: float
    """Decoding all latent frames as a stream."""
    encode_s: float
    """Encoding the portrait."""
    full_s: float
    """Encoding the portrait, denoising, decoding; without the text and sound encoders."""
    dit_speedup: float
    """The first row's `dit_s` divided by this one's."""
    decode_speedup: float
    """The same of `decode_s`."""
    full_speedup: float
    """The same of `full_s`."""
    dit_flops_per_s: float
    """Operations a second while denoising."""
    mfu: float | None
    """`dit_flops_per_s` divided by the device's peak; None where that is not known, and in fp32."""
    peak_bytes: int
    """Weights of the network and the autoencoder, and the most memory that was used besides them."""
    real_time_factor: float
    """Seconds of work for a second of video."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeResult:
    """Tab. 3 at one size."""

    height: int
    """In pixels."""
    width: int
    """In pixels."""
    num_tokens: int
    """Tokens of a clip."""
    forward_flops: int
    """Operations of one forward; a multiplication and an addition count as two."""
    rows: tuple[InferenceRow, ...]
    """The others are compared with the first one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EfficiencyReport:
    """A whole run."""

    conditions: MeasuringConditions
    """What was measured, on what and how."""
    notes: tuple[str, ...]
    """What a reader must know."""
    autoencoders: tuple[AutoencoderRow, ...]
    """Tab. 1."""
    sizes: tuple[SizeResult, ...]
    """Tab. 3, once for each size."""
