"""Every board."""

from __future__ import annotations

from typing import Final

from infra.monitoring.boards.curate import CURATE
from infra.monitoring.boards.encode import ENCODE
from infra.monitoring.boards.serve import SERVE
from infra.monitoring.boards.train import TRAIN

BOARDS: Final = (CURATE, ENCODE, TRAIN, SERVE)
