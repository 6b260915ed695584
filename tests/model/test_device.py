import pytest
import torch

from model.device import own_device


@pytest.mark.parametrize("rank", [None, "3"])
def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch, rank: str | None) -> None:
    if rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", rank)
    own = f"cuda:{rank or 0}"
    assert own_device("cuda") == own
    assert own_device(None) == (own if torch.cuda.is_available() else "cpu")
    assert [own_device(name) for name in ("cuda:1", "cpu")] == ["cuda:1", "cpu"]
