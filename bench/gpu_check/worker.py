"""The process that measures: it imports torch once, runs the steps it is told to, and sends every figure at once."""

from __future__ import annotations

import importlib
import signal
from multiprocessing.connection import Connection

from bench.gpu_check.figure import REST, Figure, reason


def work(connection: Connection, size: str, device: str | None) -> None:
    """Send None, or the mistake in what was asked for; then answer each step's name with its figures as lines and
    None, until None comes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the process that watches this one
    import torch  # noqa: PLC0415 (in the worker alone: the process that watches it stays light)

    from bench.efficiency.model_placement import usable_device  # noqa: PLC0415
    from bench.gpu_check.setting import build_setting  # noqa: PLC0415

    torch.manual_seed(0)
    try:
        setting = build_setting(size, usable_device(device))
    except ValueError as error:
        connection.send(str(error))
        return
    connection.send(None)
    while (step := connection.recv()) is not None:
        try:
            for figure in importlib.import_module(f"bench.gpu_check.steps.{step}").measure(setting):
                connection.send(figure.as_line(step))
        except Exception as error:  # noqa: BLE001 (a step that fails does not end the others)
            connection.send(Figure(what=REST, missing=reason(error)).as_line(step))
        torch._dynamo.reset()
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()
        connection.send(None)
