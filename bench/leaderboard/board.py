"""The leaderboard: what each method scores by each metric, on how many samples, and who ties with whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.rows import Row
from bench.stats.bootstrap import Interval, bootstrap_mean
from bench.stats.coverage import Coverage, cover
from bench.stats.paired import Comparison, compare_all, orient, rank, smallest_p
from bench.values import Better, Value

ALPHA = 0.05
"""Differences less likely than this by chance are called significant."""

Catalogue = Mapping[str, Sequence[Value]]
"""Metric → the values it gives. A metric that is not in it is shown without direction and not ranked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A method's score."""

    interval: Interval | None
    """None where no sample has a value."""
    coverage: Coverage
    rank: int | None
    """None where there is no value, or the value is not one to rank by."""
    ties: tuple[str, ...]
    """Methods that do not differ significantly from this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One value of one metric under one protocol, for all methods that were scored under it."""

    metric: str
    protocol: str
    value: Value
    cells: Mapping[str, Cell]
    """By method."""
    comparisons: Sequence[Comparison]
    """Every pair of methods; scores are turned so that higher is better."""

    @property
    def key(self) -> str:
        """A text that is unique among columns."""
        return f"{self.metric}/{self.value.name}/{self.protocol}"

    @property
    def title(self) -> str:
        """The column's title for people; it names the metric unless the value's name begins with it."""
        return self.value.name if self.value.name.startswith(self.metric) else f"{self.metric} {self.value.name}"

    @property
    def num_ranked(self) -> int:
        """Methods that have a rank."""
        return sum(cell.rank is not None for cell in self.cells.values())

    @property
    def note(self) -> str:
        """Why no difference could be significant; empty where one could."""
        if not self.comparisons:
            return ""
        num_pairs = max(found.num_pairs for found in self.comparisons)
        least = smallest_p(num_pairs, len(self.comparisons))
        if least <= ALPHA:
            return ""
        return (
            f"{num_pairs} common sample{'s' if num_pairs != 1 else ''} cannot set {len(self.cells)} methods apart: "
            f"the least p-value possible is {least:.2g}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Boards:
    """Columns that can be compared, and columns of other protocols, which cannot be compared with them."""

    methods: tuple[str, ...]
    main: tuple[Column, ...]
    others: tuple[Column, ...]
    """For metrics with rows of several protocols: the columns of those not in `main`."""
    num_faults: int = 0
    """Rows that ended in a fault of the program, those of controls included."""

    @property
    def headline(self) -> tuple[Column, ...]:
        """The first value of every metric that ranks."""
        first: dict[str, Column] = {}
        for column in self.main:
            if column.value.better is not Better.NEITHER:
                first.setdefault(column.metric, column)
        return tuple(first.values())


def build_boards(
    rows: Iterable[Row], samples: Collection[str], catalogue: Catalogue, protocols: Mapping[str, str]
) -> Boards:
    """Leaderboard of the rows without a control.

    Args:
        rows: one for each place (`bench.rows.current`), with or without those of controls.
        samples: ids of all samples that should be scored; coverage is a share of them.
        catalogue: what the values mean.
        protocols: metric → fingerprint of its present protocol, which is preferred for the main table. For other
            metrics the protocol with the most values is taken.
    """
    wanted = set(samples)
    among = [row for row in rows if row.sample in wanted]
    plain = [row for row in among if not row.control]
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in plain:
        groups.setdefault(row.metric, {}).setdefault(row.protocol, []).append(row)
    main: list[Column] = []
    others: list[Column] = []
    for metric in sorted(groups, key=lambda name: _place(name, catalogue)):
        chosen = _main_protocol(groups[metric], protocols.get(metric))
        for protocol, group in sorted(groups[metric].items()):
            columns = _columns(metric, protocol, group, samples, catalogue.get(metric, ()))
            (main if protocol == chosen else others).extend(columns)
    return Boards(
        methods=tuple(sorted({row.method for row in plain})),
        main=tuple(main),
        others=tuple(others),
        num_faults=sum(row.is_fault for row in among),
    )


def values_of(rows: Iterable[Row], name: str) -> dict[str, dict[str, float]]:
    """Method → sample → the value called `name`."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if name in row.values:
            found.setdefault(row.method, {})[row.sample] = float(row.values[name])
    return found


def _place(metric: str, catalogue: Catalogue) -> tuple[int, str]:
    """Metrics in the order of the catalogue, then unknown ones by name."""
    known = list(catalogue)
    return (known.index(metric) if metric in known else len(known), metric)


def _main_protocol(groups: Mapping[str, Sequence[Row]], todays: str | None) -> str:
    if todays in groups:
        assert todays is not None
        return todays
    scored = Counter({protocol: sum(row.reason is None for row in group) for protocol, group in groups.items()})
    return min(groups, key=lambda protocol: (-scored[protocol], protocol))


def _columns(
    metric: str, protocol: str, rows: Sequence[Row], samples: Collection[str], known: Sequence[Value]
) -> list[Column]:
    described = {value.name: value for value in known}
    seen = dict.fromkeys(name for row in rows for name in row.values)
    names = [name for name in described if name in seen or not seen] + [name for name in seen if name not in described]
    plain = [Value(name=metric, better=Better.NEITHER, unit="", about="")] if not names else []
    chosen = [described.get(name) or Value(name=name, better=Better.NEITHER, unit="", about="") for name in names]
    return [_column(metric, protocol, rows, samples, value) for value in chosen or plain]


def _column(metric: str, protocol: str, rows: Sequence[Row], samples: Collection[str], value: Value) -> Column:
    scores = values_of(rows, value.name)
    methods = sorted({row.method for row in rows})
    comparisons: list[Comparison] = []
    places = {}
    if value.better is not Better.NEITHER and len(scores) > 1:
        oriented = {method: orient(scores[method], value.better) for method in methods if method in scores}
        comparisons = compare_all(oriented)
        places = {one.method: one for one in rank(oriented, comparisons, ALPHA)}
    cells = {}
    for method in methods:
        mine = scores.get(method, {})
        reasons = {row.sample: row.reason or f"no {value.name}" for row in rows if row.method == method}
        cells[method] = Cell(
            interval=bootstrap_mean(list(mine.values())) if mine else None,
            coverage=cover(samples, mine, {sample: why for sample, why in reasons.items() if sample not in mine}),
            rank=places[method].rank if method in places else None,
            ties=places[method].ties if method in places else (),
        )
    return Column(metric=metric, protocol=protocol, value=value, cells=cells, comparisons=comparisons)
