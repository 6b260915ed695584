"""Two runs over the same videos, or a run and a version of it: which clips changed sides, and by which rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.browse.collection import KEPT, SOUND_DROPPED, Collection, open_one, read_described
from curation.shards.versions import TO_COMPUTE
from infra.bars import Told
from infra.config import ConfigError

CHANGES: Final[Mapping[str, str]] = {
    "lost": "kept before, rejected now",
    "gained": "rejected before, kept now",
    "other_rule": "rejected by another rule",
    "sound_lost": "kept, and lost its sound",
    "sound_gained": "kept, and has its sound now",
    "to_compute": "decided once it is computed",
    "only_first": "only in the first run",
    "only_second": "only in the second run",
    "same": "decided alike",
}
"""What became of a clip from the first run to the second."""
SAME_SPAN_S: Final = 0.02
OTHERS: Final = ("state", "rule", "audio_reason")
"""Columns of which a comparison has those of the second run too, as `other_…`."""


def open_comparison(first: str, second: str, read: Callable[[str], Told], decisions: str | None = None) -> Collection:
    """Read two runs' indices and match their clips by key.

    Rows are those of the first run, then those that only the second one has. Beside the columns of a single run they
    have `change` (of `CHANGES`), `change_rule` (the rule that made the difference), `other_state`, `other_rule` and
    `other_audio_reason` (of the second run), and `span_differs` (the same key, but other seconds of the source).

    Args:
        first: a run directory.
        second: another.
        read: given a run's name, makes what is told how much of it has been read.
        decisions: the version of the second that is meant; None for its own index.

    Raises:
        ConfigError: one is no run directory, its index is damaged, there is no such version, or both are the same.
    """
    runs = (open_one(first), open_one(second, decisions))
    if runs[0].name == runs[1].name:
        raise ConfigError(f"{first} is compared with itself: name another run")
    before, now = (read_described(run, number, read(run.name)) for number, run in enumerate(runs))
    return Collection(runs=runs, table=compared(before, now))


def compared(before: pa.Table, now: pa.Table) -> pa.Table:
    """The rows of two runs as one table; see `open_comparison`."""
    partner = pc.index_in(before["key"], value_set=now["key"].combine_chunks())
    others = {name: now[name].take(partner) for name in (*OTHERS, "audio_kept", "start_s", "end_s", "shard")}
    changes, by = _changes(before, others, pc.is_valid(partner))
    shared = before
    for name in (*OTHERS, "shard"):
        shared = shared.append_column(f"other_{name}", others[name])
    apart = [pc.abs(pc.subtract(before[name], others[name])) for name in ("start_s", "end_s")]
    differs = pc.or_(*(pc.greater(each, SAME_SPAN_S) for each in apart))
    for name, values in {"change": changes, "change_rule": by, "span_differs": differs}.items():
        shared = shared.append_column(name, values)
    new = now.filter(pc.invert(pc.is_in(now["key"], value_set=before["key"].combine_chunks())))
    new = new.append_column("change", pa.array(["only_second"] * new.num_rows, pa.string()))
    new = new.append_column("change_rule", new["rule"])
    table = pa.concat_tables([shared, new], promote_options="permissive")
    return table.sort_by([("key", "ascending"), ("run", "ascending")]).combine_chunks()


def _changes(before: pa.Table, others: Mapping[str, Any], is_shared: Any) -> tuple[Any, Any]:
    """For each row of the first run its change and the rule that made it."""
    was, is_ = (_is_kept(states) for states in (before["state"], others["state"]))
    had, has = (_truth(each["audio_kept"]) for each in (before, others))
    shared = _truth(is_shared)
    rules_differ = ~_truth(pc.equal(before["rule"], others["rule"]))
    both = pc.binary_join_element_wise(before["rule"], others["rule"], " → ")
    none = pa.scalar(None, pa.string())
    waits = _truth(pc.ends_with(others["rule"], f"/{TO_COMPUTE}"))
    cases = (
        ("only_first", ~shared, before["rule"]),
        ("to_compute", waits, others["rule"]),
        ("lost", was & ~is_, others["rule"]),
        ("gained", ~was & is_, before["rule"]),
        ("other_rule", ~was & ~is_ & rules_differ, both),
        ("sound_lost", was & is_ & had & ~has, others["audio_reason"]),
        ("sound_gained", was & is_ & ~had & has, before["audio_reason"]),
    )
    changes: Any = pa.array(["same"] * before.num_rows, pa.string())
    by: Any = pa.nulls(before.num_rows, pa.string())
    for name, mask, rule in reversed(cases):
        changes = pc.if_else(pa.array(mask), name, changes)
        by = pc.if_else(pa.array(mask), rule if rule is not None else none, by)
    return changes, by


def _is_kept(states: Any) -> Any:
    return _truth(pc.is_in(states, value_set=pa.array([KEPT, SOUND_DROPPED])))


def _truth(values: Any) -> Any:
    return np.asarray(pc.fill_null(values, fill_value=False), bool)
