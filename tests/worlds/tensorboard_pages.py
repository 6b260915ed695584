"""What TensorBoard's own pages get of a folder, as its server does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboard.backend.event_processing.plugin_event_multiplexer import (  # type: ignore[import-untyped]
    EventMultiplexer,
)

PAGES = ("scalars", "images", "text")


def shown_by_tensorboard(folder: Path) -> Mapping[str, Mapping[str, list[int]]]:
    """Page → name → steps; each name is on the page of what it was first."""
    events = EventMultiplexer()
    events.AddRun(str(folder), "run")
    events.Reload()
    return {
        page: {name: [each.step for each in events.Tensors("run", name)] for name in names}
        for page in PAGES
        for names in [events.PluginRunToTagToContent(page).get("run", {})]
    }
