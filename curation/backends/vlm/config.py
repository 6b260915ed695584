"""Settings of a vision-language model behind an OpenAI-compatible vLLM server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from curation.backends.settings import PLACEMENT
from infra.served.endpoint import NotNowError, Server, served_models


@dataclass(frozen=True, kw_only=True, slots=True)
class VlmConfig:
    """Where the model is, what it is shown, and how it is asked."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Only the server needs the model's packages."""

    model: str
    """Name under which it is served."""
    max_keyframes: int = 32
    """A clip with more shows every second one, third one, …, so that they stay evenly spaced."""
    max_frame_pixels: int = 480 * 864
    """A larger keyframe is scaled down by the server. Keyframes have a short edge of 480 at most."""
    pixel_limit: Literal["video", "frame"] = "video"
    """What the model's processor limits by its `longest_edge`: the pixels of the whole video (Qwen3-VL) or of each
    frame (Qwen2.5-VL)."""
    max_tokens: int = 1500
    """Of one reply; a reply that is cut off is no reply."""
    tries: int = 3
    """How often a question is asked, each time with another seed, until the reply is valid."""
    temperature: float = 0.7
    """Of replies in words; yes and no are read from their probabilities."""
    url: str = field(default="http://localhost:8000/v1", metadata=PLACEMENT)
    """Of the API, up to and with `/v1`."""
    key_variable: str = field(default="VLLM_API_KEY", metadata=PLACEMENT)
    """Environment variable that holds the server's key, where it wants one."""
    timeout_s: float = field(default=300.0, metadata=PLACEMENT)
    """Of one answer."""
    patience_s: float = field(default=600.0, metadata=PLACEMENT)
    """How long a server that is away or overloaded is waited for, by all questions together."""

    def __post_init__(self) -> None:
        assert self.server, "Server refuses an impossible address, name or timeout"
        for name in ("max_keyframes", "max_frame_pixels", "max_tokens", "tries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.temperature < 0 or (self.temperature == 0 and self.tries > 1):
            raise ValueError("temperature must be above 0, or 0 with one try: further seeds would change nothing")
        if self.patience_s < 0:
            raise ValueError(f"patience_s must not be negative, but is {self.patience_s}")

    @property
    def server(self) -> Server:
        """The model as the HTTP client knows it."""
        return Server(url=self.url, model=self.model, key_variable=self.key_variable, timeout_s=self.timeout_s)

    @property
    def called(self) -> str:
        """What messages call the server."""
        return f"{self.model} at {self.url}"

    def missing(self) -> list[str]:
        """A line where the server does not answer or does not serve the model."""
        start = f"start it with --served-model-name {self.model}, or set url"
        try:
            names = served_models(self.url, key=self.server.key)
        except NotNowError as error:
            return [f"no server for {self.called}: {error.told or error}; {start}"]
        if self.model in names:
            return []
        return [f"the server at {self.url} serves {', '.join(names) or 'nothing'} and not {self.model}; {start}"]

    def found(self) -> str:
        """The model and its server."""
        return self.called
