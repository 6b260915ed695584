"""The log of a training for TensorBoard: scalars, texts, and videos as animated pictures."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata  # type: ignore[import-untyped]
from tensorboard.compat.proto.tensor_pb2 import TensorProto  # type: ignore[import-untyped]
from tensorboard.compat.proto.types_pb2 import DT_STRING  # type: ignore[import-untyped]
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from infra.storage.files import naming
from training.monitoring.animation import animated

_TEXT: Final = SummaryMetadata.PluginData(plugin_name="text", content=TextPluginData(version=0).SerializeToString())
_RGB: Final = 3
"""TensorBoard's number for pictures of three channels."""


class Board:
    """A file of events for TensorBoard; a `Log`. Sound and full size are in the videos themselves.

    Torch's `SummaryWriter` writes in a thread, where the error of a full disk could not be caught.

    Args:
        folder: of the files; each process writes a new one.
        first_step: the first step of this file. TensorBoard drops what earlier files say of this and later steps.

    Raises:
        OSError: the file cannot be written; the error names it. The methods raise it too.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now_ns = time.time_ns()
        name = f"events.out.tfevents.{now_ns // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now_ns % 10**9}"
        self._path = folder / name
        self._file = self._path.open("wb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        self._summarise(step, [Summary.Value(tag=name, simple_value=value) for name, value in values.items()])

    def text(self, step: int, name: str, markdown: str) -> None:
        """See `Log`."""
        content = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
        self._summarise(step, [Summary.Value(tag=name, metadata=SummaryMetadata(plugin_data=_TEXT), tensor=content)])

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """See `Log`."""
        animation = animated(path)
        image = Summary.Image(
            height=animation.height, width=animation.width, colorspace=_RGB, encoded_image_string=animation.gif
        )
        about = SummaryMetadata(summary_description=caption)
        self._summarise(step, [Summary.Value(tag=name, metadata=about, image=image)])

    def close(self) -> None:
        """See `Log`."""
        with suppress(OSError):
            self._file.close()

    def _summarise(self, step: int, values: list[Any]) -> None:
        self._add(Event(step=step, summary=Summary(value=values)))

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        with naming(self._path):
            self._records.write(event.SerializeToString())
            self._file.flush()
