"""What turns sound into features, 50 a second: Whisper, and log-mel bins for the `tiny` preset.

Letters: N samples, A features of a step, L encoder layers, M width of Whisper.
"""

from pathlib import Path
from typing import Final, Self, TypeAlias

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from model.codecs.transformers_parts import load_whole

SAMPLE_RATE_HZ: Final = 16_000
SAMPLES_PER_STEP: Final = 320
STEPS_PER_WINDOW: Final = 1_500
"""Whisper's window of 30 s."""


class WhisperAudioEncoder(ModelMixin, ConfigMixin):
    """Whisper's encoder, read at five depths: the means of four equal groups of layers, and the last state.

    With the 32 layers of whisper-large-v3 the groups are the states 0–8, 8–16, 16–24, 24–32 (each without its
    end) and 32: 5 × 1280 features. The defaults are those of whisper-large-v3. Only the encoder is kept, which is half
    of the model.
    """

    @register_to_config
    def __init__(  # noqa: PLR0917 (diffusers' constructors take their config by position)
        self,
        num_mel_bins: int = 128,
        d_model: int = 1280,
        encoder_layers: int = 32,
        encoder_attention_heads: int = 20,
        encoder_ffn_dim: int = 5120,
        max_source_positions: int = STEPS_PER_WINDOW,
    ) -> None:
        super().__init__()
        if encoder_layers % 4:
            raise ValueError(f"encoder_layers must be divisible into 4 groups, got {encoder_layers}")
        if max_source_positions != STEPS_PER_WINDOW:
            raise ValueError(f"Whisper's window has {STEPS_PER_WINDOW} positions, not {max_source_positions}")
        self.encoder = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=num_mel_bins,
                d_model=d_model,
                encoder_layers=encoder_layers,
                encoder_attention_heads=encoder_attention_heads,
                encoder_ffn_dim=encoder_ffn_dim,
                max_source_positions=max_source_positions,
            )
        )
        self.extract_mel = WhisperFeatureExtractor(feature_size=num_mel_bins)
        self.audio_dim = 5 * d_model

    @classmethod
    def from_whisper(cls, source: str | Path, **kwargs: object) -> Self:
        """Take the encoder out of a Whisper checkpoint (directory or Hub id); `kwargs` go to transformers.

        Raises:
            ValueError: a weight of it is missing, or of another shape.
            OSError: there is no such checkpoint.
        """
        whisper = load_whole(WhisperModel, source, prefix="encoder.", **kwargs).encoder
        names = ("num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")
        model: Self = cls(**{name: getattr(whisper.config, name) for name in names})
        model.encoder = whisper
        return model

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Features (T, 5·M) fp32 of `waveform` (N,), at most 30 s, put at the start of the window: T = ⌈N / 320⌉."""
        mel = self.extract_mel(waveform.cpu().numpy(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        features: Tensor = self(mel.to(self.device, self.dtype))
        return features[0, : -(-len(waveform) // SAMPLES_PER_STEP)]

    def forward(self, input_features: Tensor) -> Tensor:
        """Log-mel (B, mels, 3000) to layer groups (B, 1500, 5·M) fp32."""
        states = self.encoder(input_features, output_hidden_states=True).hidden_states
        size = (len(states) - 1) // 4
        groups = [torch.stack(states[i * size : (i + 1) * size]).float().mean(dim=0) for i in range(4)]
        return torch.cat([*groups, states[-1].float()], dim=-1)


class LogMelAudioEncoder(ModelMixin, ConfigMixin):
    """Mel bins of each 20 ms on a logarithmic scale; silence is exactly zero. No learned weights.

    Each step sees 40 ms, centred on the step.
    """

    FFT_SIZE: Final = 1024
    WINDOW_SIZE: Final = 2 * SAMPLES_PER_STEP
    FLOOR: Final = 1e-6

    @register_to_config
    def __init__(self, num_mel_bins: int = 80) -> None:
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=self.FFT_SIZE // 2 + 1,
            num_mel_filters=num_mel_bins,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
        # A parameter rather than a buffer: diffusers finds a model's device and dtype by its parameters.
        self.filters = nn.Parameter(torch.from_numpy(filters).float(), requires_grad=False)
        self.audio_dim = num_mel_bins

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Features (T, mels) fp32 of `waveform` (N,): T = ⌈N / 320⌉."""
        num_steps = -(-len(waveform) // SAMPLES_PER_STEP)
        # The Fourier window of step s is centred on the step's middle, sample 320·s + 160.
        before = self.FFT_SIZE // 2 - SAMPLES_PER_STEP // 2
        after = (num_steps - 1) * SAMPLES_PER_STEP + self.FFT_SIZE - before - len(waveform)
        features: Tensor = self(functional.pad(waveform, (before, after))[None].to(self.device))
        return features[0]

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform (B, N) to log-mel steps (B, 1 + (N − 1024) // 320, mels), fp32."""
        spectrum = torch.stft(
            waveform.float(),
            n_fft=self.FFT_SIZE,
            hop_length=SAMPLES_PER_STEP,
            win_length=self.WINDOW_SIZE,
            window=torch.hann_window(self.WINDOW_SIZE, device=waveform.device),
            center=False,
            return_complex=True,
        )
        power = spectrum.abs().square().transpose(1, 2)
        mel = power @ self.filters.float()
        # Speech at a normal level then lies between 0 and about 2.
        return (mel.clamp(min=self.FLOOR).log10() - torch.tensor(self.FLOOR).log10()) / 4


AudioEncoder: TypeAlias = WhisperAudioEncoder | LogMelAudioEncoder
