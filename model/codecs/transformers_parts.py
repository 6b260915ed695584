"""Parts that transformers defines, loaded whole: by itself it makes up weights that are missing, at random."""

from os import PathLike
from typing import Any

from transformers import PreTrainedModel


def load_whole(kind: type[PreTrainedModel], source: str | PathLike[str], *, prefix: str = "", **kwargs: Any) -> Any:
    """A model from a directory or a Hub id.

    Args:
        kind: class of the model.
        source: directory or Hub id.
        prefix: what the names of weights that have to be there begin with.
        kwargs: for `from_pretrained`.

    Raises:
        ValueError: a weight is missing, or one is of another shape.
        OSError: raised by transformers: there is no such model.
    """
    model, loading = kind.from_pretrained(source, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs)
    for name in sorted(loading["missing_keys"]):
        if name.startswith(prefix):
            raise ValueError(f"{source}: missing key {name!r}")
    for name, found, expected in sorted(loading["mismatched_keys"]):
        if name.startswith(prefix):
            raise ValueError(f"{source}: {name!r} has shape {tuple(found)}, expected {tuple(expected)}")
    return model
