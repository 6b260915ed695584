"""Open an ONNX file with onnxruntime, on the device that a profile names and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnxruntime

from infra.config import ConfigError
from infra.jobs.machine_fault import MachineFaultError

CUDA = "CUDAExecutionProvider"


def open_session(path: str | Path, device: str = "auto", threads: int = 0) -> onnxruntime.InferenceSession:
    """The network in the file at `path`, ready to run.

    Args:
        path: an ONNX file.
        device: `cpu`, `cuda` or `cuda:N`; `auto` is the first GPU where onnxruntime can use one, else the CPU.
        threads: threads of one run on the CPU; 0 leaves the number to onnxruntime.

    Raises:
        ConfigError: no such file, not an ONNX network, or a device that cannot be had.
        MachineFaultError: the network does not fit the device's memory.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"no weights at {file}: expected an ONNX file")
    provider = _provider(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: its warnings speak of the graph's optimisation
    providers = [provider] if provider == "CPUExecutionProvider" else [provider, "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common base
        line = _first_line(error)
        if "allocat" in line.lower():
            raise MachineFaultError(f"no memory for {file} on {device}: {line}") from error
        raise ConfigError(f"onnxruntime cannot use {file} on {device}: {line}") from error
    # onnxruntime goes on without a provider whose libraries or device are missing, and only logs it.
    wanted = provider if isinstance(provider, str) else provider[0]
    if wanted not in session.get_providers() and device != "auto":
        raise ConfigError(
            f"device {device!r}: onnxruntime finds no GPU it can use; is there one, with CUDA and cuDNN of its version?"
        )
    return session


def _provider(device: str) -> str | tuple[str, dict[str, Any]]:
    """The execution provider of a device, as onnxruntime takes it."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise ConfigError(f"unknown device {device!r}: auto, cpu, cuda or cuda:N")
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return "CPUExecutionProvider"
    if not has_cuda:
        raise ConfigError(f"device {device!r}: this onnxruntime was built without CUDA; install onnxruntime-gpu")
    onnxruntime.preload_dlls()  # CUDA and cuDNN may lie in Python packages, where the loader does not look
    _, _, index = device.partition(":")
    return CUDA, {"device_id": int(index or 0)}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
