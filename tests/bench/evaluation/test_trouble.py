"""Whatever one video brings out stays with it: a row and a traceback, or work for the next run."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from bench.evaluation.job import Evaluation, EvaluationJob
from bench.evaluation.trouble import LOG, outcome_of
from bench.metrics.metric import NoValueError
from bench.metrics.registry import MetricsConfig, build_metrics
from bench.rows import Row, RowStore
from bench.samples.samples import Sample, read_videos
from curation.media import MediaError
from infra.jobs.engine import run_inline, run_on_ray
from infra.jobs.machine_fault import machine_fault
from infra.jobs.progress import Progress
from infra.jobs.workers import Workers
from tests.worlds.evaluations import CHEAP
from tests.worlds.faulty_metrics import Fickle, FickleJob, write_orders

IDS = [f"{number:04d}_human_talk_en_male" for number in range(1, 8)]
ORDERS: dict[str, dict[str, Any]] = dict(
    zip(
        IDS,
        (
            {"raise": "bug"},
            {"value": 0.25},
            {"raise": "library"},
            {"raise": "full"},
            {"raise": "memory"},
            {"raise": "assert"},
            {"value": 0.75},
        ),
        strict=True,
    )
)
REASONS = {
    IDS[0]: "internal error: AttributeError: 'NoneType' object has no attribute 'sample_rate'",
    IDS[1]: None,
    IDS[2]: "internal error: RuntimeError: <id>.mp4: cannot read [/<id>] at 0x… <script>",
    IDS[5]: "internal error: AssertionError",
    IDS[6]: None,
}
"""Of the rows there are: a full disk and too little memory are no video's fault."""


def plan(videos: Path, *, retry: bool = False) -> Evaluation:
    samples = {id_: Sample(id=id_, prompt="") for id_ in IDS}
    return Evaluation(samples=samples, methods={"ours": read_videos(videos, samples)}, metrics=[Fickle()], retry=retry)


def evaluate(videos: Path, out: Path, *, retry: bool = False, ray: bool = False) -> tuple[int, Progress]:
    """Rows that were missing, and the totals."""
    units = plan(videos, retry=retry).units(RowStore(out))
    job = FickleJob(out=out, metrics=MetricsConfig(), names=("fickle",), workers=Workers(actors=1, cpus=0.5))
    seen: list[Progress] = [Progress()]
    (run_on_ray if ray else run_inline)(units, job, seen.append)
    return sum(len(unit.work) for unit in units), seen[-1]


def reasons(out: Path) -> dict[str, str | None]:
    return {row.sample: row.reason for row in RowStore(out).read()}


def test_an_exception_is_a_row_with_type_and_message_and_the_run_goes_on(tmp_path: Path) -> None:
    _, progress = evaluate(write_orders(tmp_path / "videos", ORDERS), tmp_path / "out")
    assert reasons(tmp_path / "out") == REASONS
    assert progress.kept == 2
    assert progress.rejected["fickle/no space left (to be tried again)"] == 1
    assert progress.rejected["fickle/no memory (to be tried again)"] == 1
    log = (tmp_path / "out" / LOG).read_text()
    assert log.count("Traceback (most recent call last)") == 3
    assert f"ours/{IDS[0]}: fickle\nTraceback" in log
    assert "nothing.sample_rate" in log, "the line that failed"
    row = next(row for row in RowStore(tmp_path / "out").read() if row.sample == IDS[2])
    assert row.detail["log"] == LOG
    assert f"[/{IDS[2]}]" in row.detail["message"], "the whole message stands in the detail"
    assert row.is_fault


@pytest.mark.slow
def test_on_ray_it_is_the_same(tmp_path: Path, ray_cluster: None) -> None:
    videos = write_orders(tmp_path / "videos", ORDERS)
    evaluate(videos, tmp_path / "alone")
    evaluate(videos, tmp_path / "ray", ray=True)
    assert reasons(tmp_path / "ray") == REASONS
    assert (tmp_path / "ray" / LOG).read_text().count("Traceback") == 3


def test_the_next_run_tries_what_the_machine_failed_at_and_with_retry_what_the_program_did(tmp_path: Path) -> None:
    videos, out = write_orders(tmp_path / "videos", ORDERS), tmp_path / "out"
    assert evaluate(videos, out)[0] == 7
    assert evaluate(videos, out)[0] == 2
    assert evaluate(videos, out, retry=True)[0] == 5
    assert reasons(out) == REASONS


def test_a_value_takes_the_place_of_the_fault_before_it_and_stays(tmp_path: Path) -> None:
    fault = Row(
        method="ours",
        sample=IDS[0],
        metric="fickle",
        protocol="p",
        video="v",
        inputs="",
        reason="internal error: ValueError: x",
    )
    value = Row(
        method="ours",
        sample=IDS[0],
        metric="fickle",
        protocol="p",
        video="v",
        inputs="",
        values={"fickle": 1.0},
    )
    store = RowStore(tmp_path)
    store.append([fault])
    store.append([value])
    assert store.read() == [value]
    store.append([fault])
    assert store.read() == [value]


def test_values_that_cannot_be_written_are_one_video_s_trouble(tmp_path: Path) -> None:
    orders: dict[str, dict[str, Any]] = {IDS[0]: {"value": "nan"}, IDS[1]: {"value": 1.0}, IDS[2]: {"value": "inf"}}
    evaluate(write_orders(tmp_path / "videos", orders), tmp_path / "out")
    found = reasons(tmp_path / "out")
    assert found[IDS[0]] == found[IDS[2]] == "fickle is not a finite number"
    assert found[IDS[1]] is None


def test_a_control_that_cannot_be_made_costs_its_rows_only(
    videos_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talking = "0001_human_talk_en_female"
    samples = {talking: Sample(id=talking, prompt="")}
    controls = ("frozen", "shift+5")
    metrics = build_metrics(["av_align"], CHEAP)
    found = Evaluation(
        samples=samples, methods={"ours": read_videos(videos_dir, samples)}, metrics=metrics, controls=controls
    )

    def broken(*_: object) -> None:
        raise RuntimeError("no encoder")

    monkeypatch.setattr("bench.evaluation.controls.write_still", broken)
    job = EvaluationJob(out=tmp_path, metrics=CHEAP, names=("av_align",))
    run_inline(found.units(RowStore(tmp_path)), job, lambda _: None)
    rows = {row.control: row.reason for row in RowStore(tmp_path).read()}
    assert rows == {"": None, "shift+5": None, "frozen": "internal error: RuntimeError: no encoder"}
    assert ": av_align, frozen\nTraceback" in (tmp_path / LOG).read_text()


def test_a_person_s_interruption_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fickle, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(write_orders(tmp_path / "videos", ORDERS), tmp_path / "out")


def test_a_video_that_the_system_does_not_hand_out_says_so_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, out = write_orders(tmp_path / "videos", ORDERS), tmp_path / "out"
    whole = Path.open

    def refusing(path: Path, *arguments: Any, **more: Any) -> Any:
        if path == videos / f"{IDS[1]}.mp4":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refusing)
    evaluate(videos, out)
    assert reasons(out)[IDS[1]] == "not readable (Permission denied)"
    monkeypatch.undo()
    (videos / f"{IDS[1]}.mp4").rename(tmp_path / "away.mp4")
    evaluate(videos, out)
    assert reasons(out)[IDS[1]] == "missing", "the reason is that of now"
    (tmp_path / "away.mp4").rename(videos / f"{IDS[1]}.mp4")
    evaluate(videos, out)
    counts = Counter(row.reason for row in RowStore(out).read() if row.sample == IDS[1])
    assert counts == {"missing": 1, None: 1}


def test_faults_of_the_machine_are_told_from_those_of_a_video() -> None:
    class OutOfMemoryError(RuntimeError):
        """torch's, by name."""

    no_memory = cv2.error("x")
    no_memory.code = cv2.Error.StsNoMem
    faults = [MemoryError(), OutOfMemoryError(), no_memory, OSError(errno.ENOSPC, "x"), OSError(errno.EIO, "x")]
    assert [machine_fault(error) for error in faults] == [
        *("no memory", "no memory", "no memory", "no space left", "the disk failed")
    ]
    for error in (ValueError("x"), OSError("x"), FileNotFoundError(errno.ENOENT, "x"), cv2.error("x")):
        assert machine_fault(error) is None


def test_bad_data_keeps_its_own_reason() -> None:
    assert outcome_of(NoValueError("no face", frames=3), "s").reason == "no face"
    assert outcome_of(MediaError("empty_file", "x"), "s").reason == "empty file"
    long = outcome_of(RuntimeError("x" * 5000), "s")
    assert len(long.reason or "") < 200
    assert len(long.detail["message"]) == 2000
