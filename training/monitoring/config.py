"""Where the log of a training goes besides its own folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from infra.config import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringConfig:
    """Where the log goes besides the stage's folder, which always has `metrics.jsonl` and TensorBoard's files."""

    wandb: str = ""
    """Project of Weights & Biases, `PROJECT` or `ENTITY/PROJECT`; empty for none. The package wandb is not among those
    that are installed by default. WANDB_MODE=offline keeps the log in the stage's folder, for `wandb sync` later."""

    prometheus_port: int | None = None
    """Port of the main process at which Prometheus reads the log; 0 for none. None: a free one, on this machine alone,
    while `make monitor` runs here."""

    def __post_init__(self) -> None:
        """Refuse what can be neither a project nor a port."""
        if self.prometheus_port is not None and not 0 <= self.prometheus_port < 65536:
            raise ValueError(f"monitoring.prometheus_port is 0 to 65535, got {self.prometheus_port}")
        if self.wandb.count("/") > 1 or any(not part.strip() for part in self.wandb.split("/") if self.wandb):
            raise ValueError(f"monitoring.wandb is PROJECT or ENTITY/PROJECT, got {self.wandb!r}")


def check_monitoring(config: MonitoringConfig) -> None:
    """Find out, before anything is loaded, whether what was asked for can be logged to.

    Raises:
        ConfigError: a package is missing.
    """
    if config.wandb and find_spec("wandb") is None:
        raise ConfigError(
            "monitoring.wandb needs the package wandb, which is not installed: `.venv/bin/pip install -c "
            "infra/environments/local.txt wandb`, or leave monitoring.wandb empty"
        )
