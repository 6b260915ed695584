from __future__ import annotations

from pathlib import Path

import pytest

from curation.sources import header_tasks
from curation.sources.header_readers import HeaderFile
from curation.sources.headers import Header
from tests.worlds.videos import write_video


@pytest.mark.slow
def test_tasks_of_a_cluster_read_headers(ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_tasks, "BATCH_FILES", 2)
    monkeypatch.setattr(header_tasks, "MAX_TASKS", 2)
    paths = [write_video(tmp_path / f"{name}.mp4", size=(64, 64), seconds=1) for name in range(6)]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    files = [HeaderFile(str(path)) for path in [*paths, tmp_path / "broken.mp4"]]
    headers = dict(header_tasks.read_headers_on_ray(files, num_helpers=1, timeout_s=60.0))
    assert headers == {file: Header() if "broken" in file.uri else Header(1.0) for file in files}
