"""Opening ONNX files: the right device or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from curation.backends.onnx_session import CUDA, open_session
from infra.config import ConfigError
from tests.worlds.onnx_networks import constant_network

WITHOUT_CUDA = pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime was built with CUDA"
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network that answers (1, 2, 3) whatever it is shown."""
    answer = np.array([[1, 2, 3]], np.float32)
    return constant_network(tmp_path / "constant.onnx", (1, 3, 8, 8), {"answer": answer})


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_network_runs(network: Path, device: str) -> None:
    session = open_session(network, device, threads=1)
    (answer,) = session.run(["answer"], {"input": np.zeros((1, 3, 8, 8), np.float32)})
    assert answer.tolist() == [[1, 2, 3]]
    assert session.get_session_options().intra_op_num_threads == 1


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no weights at .*/none\.onnx: expected an ONNX file$"):
        open_session(tmp_path / "none.onnx")


def test_a_broken_file(network: Path) -> None:
    network.write_bytes(network.read_bytes()[:-40])
    with pytest.raises(ConfigError, match=r"^onnxruntime cannot use .*/constant\.onnx on cpu: .+$") as caught:
        open_session(network, "cpu")
    assert "\n" not in str(caught.value)


def test_an_unknown_device(network: Path) -> None:
    with pytest.raises(ConfigError, match=r"^unknown device 'gpu': auto, cpu, cuda or cuda:N$"):
        open_session(network, "gpu")


@WITHOUT_CUDA
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_is_never_replaced_by_the_cpu(network: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"^device '{device}': this onnxruntime was built without CUDA; install"):
        open_session(network, device)
