from __future__ import annotations

import json
import os
from hashlib import md5
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from curation.clip.schema import Pool
from curation.sources import SourcesConfig, list_sources, listing
from infra.config import ConfigError
from infra.storage import object_pages
from tests.worlds.unprivileged import run_as_nobody


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mov", "deep/c.MKV", "notes.txt", ".hidden.mp4", "noextension"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(location: object, **options: str) -> list[str]:
    return [Path(source.uri).name for source in list_sources(str(location), **options)]  # type: ignore[arg-type]


def test_directory_is_searched_and_side_files_left_out(bucket: Path) -> None:
    assert names(bucket) == ["a.mov", "b.mp4", "c.MKV", "noextension"]


def test_glob_and_single_file(bucket: Path) -> None:
    assert names(f"{bucket}/*.m*") == ["a.mov", "b.mp4"]
    assert names(bucket / "b.mp4") == ["b.mp4"]


def test_file_uri(bucket: Path) -> None:
    assert names(f"file://{bucket}/b.mp4") == ["b.mp4"]
    assert names(f"file://localhost{bucket}/b.mp4") == ["b.mp4"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_manifests_carry_metadata_and_pool(bucket: Path, kind: str) -> None:
    rows = [
        {"path": "b.mp4", "licence": "CC0", "pool": "general"},
        {"path": str(bucket / "a.mov"), "licence": "CC-BY", "pool": "human"},
    ]
    manifest = bucket / f"list.{kind}"
    if kind == "csv":
        lines = ["path,licence,pool", *(",".join(row.values()) for row in rows)]
        manifest.write_text("\n".join(lines))
    elif kind == "jsonl":
        manifest.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), manifest)
    first, second = list_sources(str(manifest))
    assert (first.uri, first.pool, first.metadata) == (str(bucket / "a.mov"), Pool.HUMAN, {"licence": "CC-BY"})
    assert (second.uri, second.pool, second.metadata) == (str(bucket / "b.mp4"), Pool.GENERAL, {"licence": "CC0"})


def test_each_video_once(bucket: Path) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text("video\nb.mp4\nb.mp4\n")
    assert names(manifest) == ["b.mp4"]


def test_named_column(bucket: Path) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text("where,path\nb.mp4,other\n")
    assert names(manifest, path_column="where") == ["b.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title\nhello\n", "no column path or uri"),
        ("path,pool\nb.mp4,animals\n", "row 1: 'animals'"),
        ("path,note\n,x\n", "row 1 has no path"),
        ("path\n", "no videos"),
    ],
)
def test_bad_manifests_are_one_clear_line(bucket: Path, content: str, message: str) -> None:
    manifest = bucket / "list.csv"
    manifest.write_text(content)
    with pytest.raises(ConfigError, match=message):
        list_sources(str(manifest))


@pytest.mark.parametrize("location", ["nowhere", "nowhere.csv", "nowhere/*.mp4", "ftq://bucket/x"])
def test_nothing_there(tmp_path: Path, location: str) -> None:
    with pytest.raises(ConfigError):
        list_sources(location if "://" in location else str(tmp_path / location))


def test_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no videos"):
        list_sources(str(tmp_path))


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def below(folder: Path | str, location: str) -> list[str]:
    """Names relative to a folder; a failed source's with its rule."""
    return [
        source.uri.removeprefix(f"{folder}/") + (f" {source.failure.rule}" if source.failure else "")
        for source in list_sources(location)
    ]


def test_what_exists_is_literal_and_only_then_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "Title [id].mp4", "Title i.mp4", "what?.mp4", "whatx.mp4", "100% *.mp4", "A [1]/a.mp4", "A 1/b.mp4")
    for name in ("Title [id].mp4", "what?.mp4", "100% *.mp4"):
        assert below(tmp_path, f"{tmp_path}/{name}") == [name]
    assert below(tmp_path, f"{tmp_path}/A [1]") == ["A [1]/a.mp4"]
    assert below(tmp_path, f"{tmp_path}/A [1]/*.mp4") == ["A [1]/a.mp4"]
    assert below(tmp_path, f"{tmp_path}/A [0-9]/*.mp4") == ["A 1/b.mp4"]
    assert below(tmp_path, f"{tmp_path}/what[!?].mp4") == ["whatx.mp4"]
    assert below(tmp_path, f"{tmp_path}/**/?.mp4") == ["A 1/b.mp4", "A [1]/a.mp4"]


def test_a_manifest_names_and_never_matches(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4", "b [x].mp4", "c::d.mp4")
    (tmp_path / "list.csv").write_text("path\nb [x].mp4\nc::d.mp4\n*.mp4\n")
    assert below(tmp_path, str(tmp_path / "list.csv")) == ["*.mp4", "b [x].mp4", "c::d.mp4"]


@pytest.mark.parametrize("name", ["a::b.mp4", "::.mp4", "s3::x.mp4", "zip::file.mp4"])
def test_colons_in_a_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    assert below(tmp_path, str(tmp_path)) == below(tmp_path, f"{tmp_path}/{name}") == [name]
    assert below(tmp_path, f"file://{tmp_path}/{name}") == [name]


def test_one_file_under_several_spellings_is_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "v/a.mp4", "v/b c.mp4", "elsewhere/d.mp4")
    (tmp_path / "v" / "link.mp4").symlink_to("a.mp4")
    (tmp_path / "w").symlink_to("v")
    (tmp_path / "e").symlink_to("elsewhere/deeper")
    write(tmp_path, "elsewhere/deeper/x.mp4")
    spellings = [
        *("a.mp4", "./a.mp4", ".//a.mp4", "../v/a.mp4", f"{tmp_path}/v/a.mp4", f"//{tmp_path}//v/a.mp4"),
        *(f"file://{tmp_path}/v/a.mp4", " a.mp4 ", "link.mp4", "../w/a.mp4", "../w/link.mp4"),
        *("b c.mp4", f"file://{tmp_path}/v/b%20c.mp4", "../e/../d.mp4", "../elsewhere/d.mp4"),
        f"file://localhost{tmp_path}/v/a.mp4",
    ]
    manifest = tmp_path / "v" / "list.jsonl"
    lines = [json.dumps({"path": spelling, "n": number}) for number, spelling in enumerate(spellings)]
    manifest.write_text("\n".join(lines))
    notes: list[str] = []
    sources = list_sources(str(manifest), note=notes.append)
    assert [source.uri for source in sources] == [
        f"{tmp_path}/elsewhere/d.mp4", f"{tmp_path}/v/a.mp4", f"{tmp_path}/v/b c.mp4"
    ]  # fmt: skip
    assert [source.metadata["n"] for source in sources] == [13, 0, 11]
    assert notes == [f"13 of 16 entries in {manifest} name a file that another one names: it is one source, with what "
                     "the first entry says of it"]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert [source.uri for source in list_sources("v/list.jsonl")] == [source.uri for source in sources]
    assert {source.key for source in list_sources("./v")} <= {source.key for source in sources}


def test_blanks_belong_to_a_name_where_such_a_file_exists(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4", " a.mp4")
    (tmp_path / "list.jsonl").write_text('{"path": " a.mp4"}\n{"path": "a.mp4 "}')
    assert below(tmp_path, str(tmp_path / "list.jsonl")) == [" a.mp4", "a.mp4"]


def test_links_are_followed_once_and_trash_is_left_alone(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    write(bucket, "a.mp4", "deep/b.mp4", "deep/deeper/c.mp4", "series.mp4/d.mp4")
    write(
        bucket, ".Trash-1000/files/t.mp4", "deep/.hidden/t.mp4", "__MACOSX/t.mp4", "@eaDir/t.mp4", "$RECYCLE.BIN/t.mp4"
    )
    write(bucket, "._a.mp4", "deep/._b.mp4", "lost+found/t.mp4", "Thumbs.db", "list.m3u8")
    write(tmp_path, "outside/o.mp4", "outside/sub/p.mp4")
    (bucket / "0 first").symlink_to(bucket / "deep")
    (bucket / "deep" / "up").symlink_to("..")
    (bucket / "self").symlink_to("self")
    (bucket / "x1").symlink_to(tmp_path / "outside")
    (bucket / "x2.mp4").symlink_to(tmp_path / "outside")
    (bucket / "0.mp4").symlink_to("a.mp4")
    (bucket / "gone.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(bucket / "pipe.mp4")
    right = ["a.mp4", "deep/b.mp4", "deep/deeper/c.mp4", "gone.mp4", "self", "series.mp4/d.mp4", "x1/o.mp4"]
    assert below(bucket, str(bucket)) == [*right, "x1/sub/p.mp4"]
    found = below(bucket, f"{bucket}/**/*.mp4")
    assert found == [*[name for name in right if name != "self"], "x1/sub/p.mp4"]


@pytest.mark.parametrize("where", ["", "runs/own", "runs/sample"])
def test_what_runs_have_made_is_left_out_and_told(tmp_path: Path, where: str) -> None:
    run = tmp_path / where
    mark = "bucket/a.mp4" if where == "runs/sample" else "shards/_session"
    write(run, mark, "shards/soul-a.tmp0", "encoded/720p/_session", "encoded/720p/unconditional.safetensors")
    write(run, "train/720p/validation/v.mp4", "codebook.safetensors", "quarantine/x", "own.mp4")
    write(tmp_path, "bucket.mp4", "encoded.mp4" if where else "x.mp4", "shards.d/b.mp4")
    expected = sorted(str(path) for path in tmp_path.rglob("*.mp4") if path.parent.name not in {"validation", "bucket"})
    for location in (str(tmp_path), f"{tmp_path}/**/*.mp4"):
        notes: list[str] = []
        assert [source.uri for source in list_sources(location, note=notes.append)] == expected
        assert notes == [f"what the run in {run} made is no input: left out"]
    videos = f"{run}/train/720p/validation"
    assert names(videos) == ["v.mp4"], "what is named is meant"


def test_a_name_that_is_not_utf8_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "good.mp4", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n.mp4")
    for name in (b"caf\xe9.mp4", b"\xff\xfe/inside.mp4"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    right = [r"\xff\xfe/inside.mp4 name_not_utf8", r"caf\xe9.mp4 name_not_utf8", "good.mp4", "grün.mp4"]
    assert below(tmp_path, str(tmp_path)) == right
    assert below(tmp_path, f"{tmp_path}/c*.mp4") == [right[1]]
    for source in list_sources(str(tmp_path)):
        json.dumps([source.uri, source.key, source.failure and source.failure.detail], ensure_ascii=False).encode()
    (tmp_path / "list.jsonl").write_text('{"path": "caf\\udce9.mp4"}\n{"path": "\\ud800.mp4"}\n{"path": "good.mp4"}')
    manifest = below(tmp_path, str(tmp_path / "list.jsonl"))
    assert manifest == [r"\ud800.mp4 name_not_utf8", right[1], "good.mp4"]


def test_a_directory_that_may_not_be_read_is_recorded(tmp_path: Path) -> None:
    write(tmp_path, "bucket/open/a.mp4", "bucket/shut/b.mp4")
    (tmp_path / "bucket" / "shut").chmod(0)
    found = run_as_nobody(tmp_path, f"""
        from curation.sources import list_sources
        for source in list_sources({str(tmp_path / "bucket")!r}):
            print(source.uri, source.failure)
        list_sources({str(tmp_path / "bucket" / "shut")!r})
    """)  # fmt: skip
    opened, shut = found.stdout.splitlines()
    assert opened == f"{tmp_path}/bucket/open/a.mp4 None"
    assert shut.startswith(f"{tmp_path}/bucket/shut/ Failure(stage='probe', rule='no_permission'")
    assert "ConfigError: cannot list" in found.stderr
    assert "Permission denied" in found.stderr


@pytest.mark.parametrize(
    "uri",
    ["http://example.com/a.mp4", "https://169.254.169.254/latest", "ftp://h/a.mp4", "memory://a.mp4", "zip://a.mp4::b.zip"],
)  # fmt: skip
def test_only_the_schemes_that_the_run_allows_are_read(tmp_path: Path, uri: str) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path\na.mp4\n{uri}\n")
    for location in (str(manifest), uri):
        with pytest.raises(
            ConfigError, match=r"this run reads file and s3 and gs, not \w+://; allow it with --set"
        ) as told:
            list_sources(location)
        assert "\n" not in str(told.value)
    with pytest.raises(ConfigError, match=r"row 2: .*\(line 3\)"):
        list_sources(str(manifest))


def test_chains_are_never_followed_and_schemes_can_be_set(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\nsimplecache::s3://b/a.mp4\n")
    with pytest.raises(ConfigError, match=r"row 1: .* is a chain of file systems"):
        list_sources(str(manifest))
    manifest.write_text("path\nmemory://a.mp4\n")
    assert [s.uri for s in list_sources(str(manifest), config=SourcesConfig(schemes=("file", "memory")))] == [
        "memory://a.mp4"
    ]
    manifest.write_text("path\na.mp4\n")
    with pytest.raises(ConfigError, match="not paths of this machine"):
        list_sources(str(manifest), config=SourcesConfig(schemes=("s3",)))


@pytest.fixture
def store(object_store: str) -> s3fs.S3FileSystem:
    store = s3fs.S3FileSystem()
    if store.exists("listed"):
        store.rm("listed", recursive=True)
    store.mkdir("listed")
    return store


def test_keys_are_literal_and_folders_are_no_videos(store: s3fs.S3FileSystem) -> None:
    keys = ["Title [id].mp4", "a::b.mp4", "what?.mp4", "whatx.mp4", "d//e.mp4", "50% #1 + more.mp4", "A [1]/a.mp4"]
    for key in [*keys, ".hidden/t.mp4", "__MACOSX/t.mp4", "d/._e.mp4", "notes.txt", "h_$folder$"]:
        store.pipe_file(f"listed/in/{key}", b"x")
    for folder in ("in/", "in/empty/", "in/A [1]/"):
        store.call_s3("put_object", Bucket="listed", Key=folder, Body=b"")
    assert below("s3://listed/in", "s3://listed/in") == below("s3://listed/in", "s3a://listed/in/") == sorted(keys)
    for key in keys:
        assert below("s3://listed/in", f"s3://listed/in/{key}") == [key]
    assert below("s3://listed/in", "s3://listed/in/A [1]/*.mp4") == ["A [1]/a.mp4"]
    assert below("s3://listed/in", "s3://listed/in/w*.mp4") == ["what?.mp4", "whatx.mp4"]
    assert below("s3://listed/in", "s3://listed/in/**/?.mp4") == ["A [1]/a.mp4", "d//e.mp4"]
    with pytest.raises(ConfigError, match="no such file"):
        list_sources("s3://listed/nothing")


def test_a_store_is_listed_page_by_page(store: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_pages, "PAGE_KEYS", 2)
    monkeypatch.setattr(listing, "PROGRESS_EVERY", 2)
    keys = ["a.mp4", "b.mp4", "c.mp4", "d/a.mp4", "d/b.mp4", "d/c.mp4", "d/e/f/a.mp4", "g.txt"]
    for key in keys:
        store.pipe_file(f"listed/pages/{key}", key.encode())
    counts: list[int] = []
    sources = list_sources("s3://listed/pages", progress=counts.append)
    assert [source.uri.removeprefix("s3://listed/pages/") for source in sources] == keys[:-1]
    assert counts == [2, 4, 6]
    assert below("s3://listed/pages", "s3://listed/pages/*/*.mp4") == keys[3:6]
    assert below("s3://listed/pages", "s3://listed/pages/**/a.mp4") == ["a.mp4", "d/a.mp4", "d/e/f/a.mp4"]
    assert not store.dircache, "a kilobyte an object"


def test_a_listing_says_how_large_a_video_is_and_which_content_it_has(store: s3fs.S3FileSystem, bucket: Path) -> None:
    for content in (b"one", b"other"):
        store.pipe_file("listed/told/a.mp4", content)
        tag = md5(content, usedforsecurity=False).hexdigest()
        for location in ("s3://listed/told", "s3://listed/told/a.mp4", "s3://listed/told/*.mp4"):
            (source,) = list_sources(location)
            assert (source.size, source.stamp) == (len(content), tag)
    os.utime(bucket / "b.mp4", ns=(0, 5))
    for location in (f"{bucket}/b.mp4", f"{bucket}/b*", str(bucket)):
        source = next(each for each in list_sources(location) if each.uri.endswith("b.mp4"))
        assert (source.size, source.stamp) == (1, "5")
    (bucket / "list.csv").write_text("path\nb.mp4\n")
    (named,) = list_sources(str(bucket / "list.csv"))
    assert (named.size, named.stamp) == (None, None)


def test_what_runs_have_made_in_a_store_is_left_out_and_told(store: s3fs.S3FileSystem) -> None:
    for key in ("a.mp4", "run/shards/_session", "run/encoded/720p/_session", "run/own.mp4"):
        store.pipe_file(f"listed/made/{key}", b"x")
    for location in ("s3://listed/made", "s3://listed/made/**"):
        notes: list[str] = []
        found = [source.uri for source in list_sources(location, note=notes.append)]
        assert found == ["s3://listed/made/a.mp4", "s3://listed/made/run/own.mp4"]
        assert notes == ["what the run in listed/made/run made is no input: left out"]


def test_a_manifest_in_a_bucket(store: s3fs.S3FileSystem) -> None:
    lines = ["a [x].mp4", "./a [x].mp4", " b::c.mp4 ", "../up.mp4", "d//e.mp4", "s3a://other/k.mp4 ", "/data/local.mp4"]
    store.pipe_file("listed/sub/list.csv", "\n".join(["path", *lines]).encode())
    right = ["other/k.mp4", "listed/sub/a [x].mp4", "listed/sub/b::c.mp4", "listed/sub/d//e.mp4", "listed/up.mp4"]
    uris = [source.uri for source in list_sources("s3://listed/sub/list.csv")]
    assert uris == sorted(["/data/local.mp4", *(f"s3://{name}" for name in right)])
