"""Curation and training as Slurm jobs: what is told to them, and that a requeued job ends as an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import load_section
from infra.jobs.engine import run_inline
from tests.paths import ROOT
from tests.worlds.decisions import decisions
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import losses, metrics, small_overrides
from tests.worlds.slurm import Slurm, slurm
from tests.worlds.waiting import until

FOLDER = ROOT / "infra/cluster/slurm"
JOBS = ("curate", "encode", "train")
VIDEOS = ("exactly_480p.mp4", "frozen.mp4", "random_bytes.mp4", "blurry.mp4", "too_short.mp4", "silent.mp4")
COPIES = 3
ALL_OF_IT = ("--exclusive", "--mem=0", "--gpus-per-node=0", "--cpus-per-task=1", "--time=30")


def directives(job: str) -> dict[str, str]:
    """What a job asks of Slurm."""
    lines = (FOLDER / f"{job}.sbatch").read_text().splitlines()
    words = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH --")]
    return {name: value for name, _, value in words}


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_the_shell_can_read_it(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck")
    subprocess.run(["shellcheck", "--external-sources", "--source-path", str(ROOT), str(path)], check=True)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_can_be_requeued_and_is_told_before_its_end(job: str) -> None:
    asked = directives(job)
    assert "requeue" in asked
    assert asked["open-mode"] == "append"
    name, _, seconds = asked["signal"].partition("@")
    assert name == "B:TERM"
    assert int(seconds) >= 120
    assert asked["job-name"] == f"soul-{job}"


def test_a_task_a_gpu_and_one_ray_node_a_machine() -> None:
    assert directives("train")["ntasks-per-node"] == directives("train")["gpus-per-node"]
    assert [directives(job)["ntasks-per-node"] for job in ("curate", "encode")] == ["1", "1"]


class Shell:
    """A script that goes on from job.sh, with a Slurm that only answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.requeued = folder, folder / "requeued"
        self.environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NAME": "soul-test",
            "SLURM_SUBMIT_DIR": str(folder),
            "SOUL_ROOT": str(ROOT),
        }
        self.answers(state="RUNNING", end="N/A")
        self._program("scontrol", f'echo "$*" >> {self.requeued}')

    def answers(self, *, state: str, end: str) -> None:
        """Set the job's state, and when Slurm will end it."""
        self._program("squeue", f'case "$*" in *%T*) echo "{state}" ;; *%e*) echo "{end}" ;; esac')

    def start(self, lines: str, **environment: str) -> subprocess.Popen[str]:
        text = f'source "{FOLDER}/job.sh"\nmkdir -p "$LOGS"\n{lines}\nend_job\n'
        return subprocess.Popen(
            ["bash", "-c", text], env=self.environment | environment, stderr=subprocess.PIPE, text=True
        )

    def run(self, lines: str, **environment: str) -> tuple[int, str]:
        """Exit status and what was said."""
        process = self.start(lines, **environment)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    def _program(self, name: str, line: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(("status", "goes_on"), [(0, False), (2, False), (143, True), (1, True), (137, True)])
def test_what_a_job_does_when_its_command_has_ended(shell: Shell, status: int, goes_on: bool) -> None:
    ended, _ = shell.run(f"run_to_end bash -c 'exit {status}'")
    assert ended == status
    assert shell.requeued.exists() == goes_on
    if goes_on:
        assert shell.requeued.read_text() == "requeue 7\n"


def test_a_command_that_always_fails_is_given_up(shell: Shell) -> None:
    for _ in range(2):
        shell.run("run_to_end false")
    # One that is told to end has done its work meanwhile, and failures are counted anew.
    shell.run("run_to_end bash -c 'exit 143'")
    said = [shell.run("run_to_end false")[1] for _ in range(3)]
    assert "failed 3 times in a row (status 1): not requeued" in said[-1]
    assert len(shell.requeued.read_text().splitlines()) == 5


def test_a_job_is_requeued_so_many_times_and_no_more(shell: Shell) -> None:
    shell.run("run_to_end bash -c 'exit 143'", SLURM_RESTART_COUNT="49")
    assert shell.requeued.exists()
    shell.requeued.unlink()
    status, said = shell.run("run_to_end bash -c 'exit 143'", SLURM_RESTART_COUNT="50")
    assert status == 143
    assert "submit it again to go on" in said
    assert not shell.requeued.exists()


def test_a_cancelled_job_does_not_come_back(shell: Shell) -> None:
    shell.answers(state="COMPLETING", end="N/A")
    status, _ = shell.run("run_to_end bash -c 'exit 143'")
    assert status == 143
    assert not shell.requeued.exists()


SAVES = """run_to_end bash -c 'trap "touch saved; exit 143" TERM; touch begun; while :; do sleep 0.05; done'"""
STANDS = """run_to_end bash -c 'trap "" TERM; echo $$ > begun; exec sleep 60'"""


def test_sigterm_is_passed_on_and_the_job_requeued(shell: Shell) -> None:
    process = shell.start(f'cd "{shell.folder}"\n{SAVES}')
    until((shell.folder / "begun").exists)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (shell.folder / "saved").exists()
    assert process.returncode == 143
    assert shell.requeued.read_text() == "requeue 7\n"


def test_a_command_that_does_not_end_does_not_cost_the_job(shell: Shell) -> None:
    # Slurm ends the job in ten seconds, and eight are for the command.
    shell.answers(state="RUNNING", end="$(date --iso-8601=seconds --date='+10 seconds')")
    process = shell.start(f'cd "{shell.folder}"\n{STANDS}')
    begun = shell.folder / "begun"
    number = int(until(lambda: begun.read_text().strip()))
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    psutil.Process(number).kill()
    _, said = process.communicate()
    assert "what is in work will be done again" in said
    assert shell.requeued.read_text() == "requeue 7\n"


class Node(Shell):
    """A node of a job of several, on which Ray is a program that only waits."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program("ray", f"touch {folder}/started\n[ ! -e {folder}/gone ] || exit 1\nexec sleep 60")
        self._program("scancel", f'echo "cancel $*" >> {self.requeued}')
        (folder / "logs").mkdir()
        self.environment |= {
            "PY": str(folder / "python"),
            "LOGS": str(folder / "logs"),
            "RAY_TMPDIR": str(folder / "ray-tmp"),
            "HEAD_NODE": "first",
            "MAX_RESTARTS": "50",
            "SLURM_CPUS_ON_NODE": "1",
            "SLURM_PROCID": "0",
            "SLURMD_NODENAME": "second",
        }

    def begin(self, kind: str, head: socket.socket, **more: str) -> subprocess.Popen[bytes]:
        """A node of a kind whose head has this address."""
        address = {"RAY_ADDRESS": f"127.0.0.1:{head.getsockname()[1]}"}
        return subprocess.Popen(["bash", str(FOLDER / "ray_node.sh"), kind], env=self.environment | address | more)

    def asked(self) -> str:
        """What Slurm was told to do with the job."""
        return self.requeued.read_text() if self.requeued.exists() else ""


@pytest.mark.parametrize(
    ("kind", "is_head_there", "job", "asked"),
    [
        ("worker", False, ("RUNNING", "0"), "requeue 7\n"),
        ("worker", False, ("RUNNING", "50"), "cancel 7\n"),
        ("worker", False, ("COMPLETING", "0"), ""),
        ("worker", True, ("RUNNING", "0"), ""),
        ("beside", False, ("RUNNING", "0"), ""),
    ],
)
def test_a_node_requeues_the_job_when_its_head_is_gone(
    tmp_path: Path, kind: str, is_head_there: bool, job: tuple[str, str], asked: str
) -> None:
    """With --no-kill Slurm does not, even when the batch script is on the node that failed."""
    node, (state, restarts) = Node(tmp_path), job
    node.answers(state=state, end="N/A")
    (tmp_path / "gone").touch()
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        if is_head_there:
            head.listen()
        process = node.begin(kind, head, SLURM_RESTART_COUNT=restarts)
        assert process.wait(timeout=60) == 0
    assert node.asked() == asked
    if asked.startswith("requeue"):
        assert "the head first is gone: requeued" in (tmp_path / "logs/steps.log").read_text()


def test_a_node_that_is_told_to_end_requeues_nothing(tmp_path: Path) -> None:
    """So a job ends whose command is done: its head goes last, but may be gone when a node comes to its end."""
    node = Node(tmp_path)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        process = node.begin("worker", head)
        until((tmp_path / "started").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert node.asked() == ""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.mark.parametrize("job", JOBS)
def test_slurm_would_take_the_job(cluster: Slurm, job: str) -> None:
    said = cluster.call("sbatch", "--test-only", *ALL_OF_IT, "--ntasks-per-node=1", str(FOLDER / f"{job}.sbatch"))
    assert "to start at" in said


def test_a_mistake_ends_the_job(cluster: Slurm) -> None:
    for job, missing in (("curate", "RUN="), ("train", "STAGE=")):
        number = cluster.submit(FOLDER / f"{job}.sbatch", options=[*ALL_OF_IT, "--ntasks-per-node=1"])
        ended = cluster.ended(number)
        assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "2:0", "0")
        assert missing in cluster.output(number)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_curation_that_is_preempted_and_requeued_ends_as_an_undisturbed_one(
    cluster: Slurm, short_samples: Path, tmp_path: Path
) -> None:
    bucket, run, undisturbed = (tmp_path / name for name in ("bucket", "run", "undisturbed"))
    bucket.mkdir()
    for copy in range(COPIES):
        for name in VIDEOS:
            shutil.copy(short_samples / name, bucket / f"{copy}-{name}")
    config = load_section(CurationConfig, "local", "curation")
    units = plan_units(list_sources(str(bucket)), set(), config.planning).units
    run_inline(units, CurationJob(run=str(undisturbed), config=config), lambda _: None)

    words = [str(bucket), str(run), "--set", "shards.sources_per_shard=1", "--set", "shards.merge=false"]
    number = cluster.submit(FOLDER / "curate.sbatch", *words, options=ALL_OF_IT)

    def shards() -> int:
        return len(list(run.glob("shards/*.parquet")))

    # A job that goes first takes the node, and this one is told two minutes before.
    cluster.until(number, lambda: shards() >= 2)
    cluster.preempt()
    cluster.until(number, lambda: cluster.restarts(number) == 1)
    committed = shards()
    assert "ended by SIGTERM: what was in work is committed" in cluster.output(number)
    assert "requeued" in cluster.output(number)
    # Then all of its processes die at once.
    cluster.until(number, lambda: shards() > committed)
    for process in cluster.processes(number):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    cluster.call("scontrol", "requeue", number)
    ended = cluster.ended(number)

    print(cluster.output(number))
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", "2")
    assert decisions(str(run)) == decisions(str(undisturbed))
    assert len(RunDirectory(str(run)).committed()) == len(VIDEOS) * COPIES
    assert list(cluster.folder.glob(f"slurm-soul-curate-{number}/ray-alone-node-*.tar.gz"))
    assert not Path(f"/tmp/soul-{number}").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_training_that_is_preempted_and_killed_ends_as_an_undisturbed_one(cluster: Slurm, tmp_path: Path) -> None:
    steps = 400
    overrides = small_overrides(steps=steps, checkpoint__every=40)
    settings = [word for each in overrides for word in ("--set", each)]
    options = [*ALL_OF_IT, "--ntasks-per-node=2"]

    def start(run: Path) -> str:
        make_encoded_run(run, shards=((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4))
        return cluster.submit(FOLDER / "train.sbatch", str(run), "720p", *settings, options=options)

    def step() -> int:
        # A line is written for each, and the last one may not be whole.
        return (run / "train/720p/metrics.jsonl").read_text().count("\n")

    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    assert cluster.ended(start(undisturbed))["JobState"] == "COMPLETED"
    number = start(run)
    cluster.until(number, lambda: step() >= 10)
    cluster.preempt()
    cluster.until(number, lambda: cluster.restarts(number) == 1)
    stopped = step()
    assert f"soul: stopped at step {stopped} of {steps}; the same command goes on" in cluster.output(number)
    cluster.until(number, lambda: step() >= stopped + 50)
    tasks = [each for each in cluster.processes(number) if each.cmdline()[1:3] == ["-m", "training"]]
    assert sorted(each.environ()["SLURM_PROCID"] for each in tasks) == ["0", "1"]
    for task in tasks:
        task.kill()
    cluster.until(number, lambda: cluster.restarts(number) == 2)
    ended = cluster.ended(number)

    print("\n".join(line for line in cluster.output(number).splitlines() if not line.startswith("step ")))
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", "2")
    assert losses(run) == losses(undisturbed)
    assert [line["step"] for line in metrics(run)] == list(range(1, steps + 1))
    weights = [each / "model/transformer/diffusion_pytorch_model.safetensors" for each in (run, undisturbed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
