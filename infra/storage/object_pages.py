"""An object store's listing, a page at a time: fsspec's own would keep every page, a kilobyte for each object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

PAGE_KEYS: Final = 1000
"""Keys of a page: as many as S3 gives."""


class ListedObject(NamedTuple):
    """A key with what its listing says."""

    path: str
    """Bucket and key."""
    size: int | None
    """Bytes."""
    stamp: str | None
    """The store's tag of the content, or when it was written."""


def is_prefix(fs: Any, path: str) -> bool:
    """Whether a path is a bucket, or keys lie below it."""
    if not is_s3(fs):
        fs.invalidate_cache()
        return bool(fs.isdir(path))
    bucket, _, key = path.partition("/")
    if not key:
        return bool(fs.exists(bucket))
    page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{key.rstrip('/')}/", MaxKeys=1)
    return bool(page.get("Contents"))


def object_pages(fs: Any, root: str, *, max_depth: int | None = None) -> Iterator[ListedObject]:
    """Every object below a prefix, in no particular order.

    Args:
        fs: the store.
        root: the prefix: a bucket, or a bucket and the beginning of keys.
        max_depth: of the keys below it.
    """
    if not is_s3(fs):
        fs.invalidate_cache()
        entries = fs.find(root, maxdepth=max_depth, detail=True)
        yield from (found_object(entry, path) for path, entry in entries.items() if entry["type"] == "file")
        return
    bucket, _, key = root.partition("/")
    waiting = [(_prefix(key), max_depth)]
    while waiting:
        prefix, depth = waiting.pop()
        for page in _pages(fs, bucket, prefix, is_flat=depth is not None):
            yield from _objects(bucket, page)
            if depth is not None and depth > 1:
                waiting += [(each["Prefix"], depth - 1) for each in page.get("CommonPrefixes", ())]


def children(fs: Any, folder: str) -> tuple[list[ListedObject], list[str]]:
    """The objects and the folders directly below a prefix of S3, none if there is no such prefix.

    s3fs itself lists the folder above too, to the end, if it finds nothing: where shards lie, that takes as long as
    all of them.
    """
    bucket, _, key = folder.partition("/")
    objects, folders = list[ListedObject](), list[str]()
    for page in _pages(fs, bucket, _prefix(key), is_flat=True):
        objects += _objects(bucket, page)
        folders += [f"{bucket}/{each['Prefix'].rstrip('/')}" for each in page.get("CommonPrefixes", ())]
    return objects, folders


def found_object(entry: Mapping[str, Any], path: str) -> ListedObject:
    """An object as fsspec tells of it."""
    size = entry.get("size")
    return ListedObject(path, None if size is None else int(size), _stamp(entry))


def _prefix(key: str) -> str:
    return f"{key.rstrip('/')}/" if key else ""


def _pages(fs: Any, bucket: str, prefix: str, *, is_flat: bool) -> Iterator[Mapping[str, Any]]:
    """S3's own pages of the keys that begin with a prefix; `is_flat` for those directly below it, and its folders."""
    asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE_KEYS, **({"Delimiter": "/"} if is_flat else {})}
    page: Mapping[str, Any] = {"IsTruncated": True}
    while page.get("IsTruncated"):
        page = fs.call_s3("list_objects_v2", **asked)
        asked["ContinuationToken"] = page.get("NextContinuationToken", "")
        yield page


def _objects(bucket: str, page: Mapping[str, Any]) -> Iterator[ListedObject]:
    for entry in page.get("Contents", ()):
        yield ListedObject(f"{bucket}/{entry['Key']}", int(entry["Size"]), _stamp(entry))


def _stamp(entry: Mapping[str, Any]) -> str | None:
    tag = next((entry[name] for name in ("ETag", "etag", "md5Hash") if entry.get(name)), None)
    if tag is not None:
        return str(tag).strip('"')
    changed = next((entry[name] for name in ("LastModified", "mtime", "updated") if entry.get(name)), None)
    return None if changed is None else str(changed)


def is_s3(fs: Any) -> bool:
    """Whether a file system is S3's."""
    return "s3" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
