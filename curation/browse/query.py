"""What is asked for: words, states, rules, values and ranges, an order and a page; as text, the query of a URL."""

from __future__ import annotations

import difflib
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import pyarrow as pa

from curation.browse.collection import KEPT, REJECTED, SOUND_DROPPED, SOURCE
from infra.config import ConfigError

STATES: Final = (KEPT, SOUND_DROPPED, REJECTED, SOURCE)
WORD: Final = re.compile(r'"([^"]+)"?|(\S+)')
PAGE_ONLY: Final = frozenset({"view", "clip", "run", "key", "show", "column"})
"""Parts of the page's address that say how clips are shown, not which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Bounds of a column's numbers, both of them allowed values. A row without a number is outside."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Which rows, in which order. Everything that is asked must hold; of several states, rules or values, one."""

    words: tuple[str, ...] = ()
    """All of them must occur in the key, the brief caption or the source; in small letters."""
    values: Mapping[str, tuple[str | None, ...]]
    """By column, states and rules among them; None stands for no value."""
    ranges: Mapping[str, Range]
    """By column."""
    sort: str = "key"
    descending: bool = False
    page: int = 1
    """From 1 on."""

    @staticmethod
    def parse(text: str, schema: pa.Schema) -> Query:
        """Read a query.

        Args:
            text: `q=WORDS`, `state=` (`kept` includes those that lost their sound), `rule=STAGE/RULE`,
                `is.COLUMN=VALUE` (empty: no value), `min.COLUMN=`, `max.COLUMN=`, `sort=COLUMN` or `sort=-COLUMN`,
                `page=`; percent-encoded and joined by `&`. States, rules and values may be repeated.
            schema: the columns that there are.

        Raises:
            ConfigError: it asks for something that there is not.
        """
        reading = _Reading(schema)
        for name, value in parse_qsl(text.lstrip("?#"), keep_blank_values=True):
            reading.take(name, value)
        return reading.query()


class _Reading:
    """A query that is being read."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.words: list[str] = []
        self.values: dict[str, list[str | None]] = defaultdict(list)
        self.bounds: dict[str, dict[str, float]] = defaultdict(dict)
        self.sort = "key"
        self.page = 1

    def take(self, name: str, value: str) -> None:
        kind, dot, column = name.partition(".")
        if name == "q":
            self.words += [(quoted or plain).lower() for quoted, plain in WORD.findall(value)]
        elif name == "sort":
            self.sort = value or "key"
            self._known(self.sort.removeprefix("-"))
        elif name == "page":
            self.page = self._page(value)
        elif name == "state":
            # A clip that lost its sound is a kept one.
            self.values["state"] += [SOUND_DROPPED, KEPT] if self._state(value) == KEPT else [value]
        elif name == "rule":
            self.values["rule"].append(value or None)
        elif dot and kind == "is":
            self.values[self._known(column)].append(value or None)
        elif dot and kind in ("min", "max"):
            self.bounds[self._numeric(column)][kind] = self._number(name, value)
        elif name not in PAGE_ONLY:
            raise ConfigError(
                f"{name!r} cannot be asked for: there are q, state, rule, is.COLUMN, min.COLUMN, max.COLUMN, sort, page"
            )

    def query(self) -> Query:
        return Query(
            words=tuple(self.words),
            values={column: tuple(values) for column, values in self.values.items()},
            ranges={
                column: Range(low=bounds.get("min", -math.inf), high=bounds.get("max", math.inf))
                for column, bounds in self.bounds.items()
            },
            sort=self.sort.removeprefix("-"),
            descending=self.sort.startswith("-"),
            page=self.page,
        )

    def _known(self, column: str) -> str:
        if column not in self.schema.names:
            nearest = difflib.get_close_matches(column, self.schema.names, n=1)
            raise ConfigError(f"no column {column!r}" + (f", did you mean {nearest[0]!r}?" if nearest else ""))
        return column

    def _numeric(self, column: str) -> str:
        if not is_numeric(self.schema.field(self._known(column)).type):
            raise ConfigError(f"{column} has no numbers, so it has no range: is.{column}=VALUE asks for a value")
        return column

    @staticmethod
    def _number(name: str, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise ConfigError(f"{name}={value}: {value!r} is not a number")
        return number

    @staticmethod
    def _page(value: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
            raise ConfigError(f"page={value}: pages are numbers from 1 on")
        return int(value)

    @staticmethod
    def _state(value: str) -> str:
        if value not in STATES:
            raise ConfigError(f"state={value}: there are {', '.join(STATES)}")
        return value


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column has numbers."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
