"""Two and four gloo ranks against one rank, on the CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from model import SoulTransformer3DModel
from model.network.sequence_parallel import SequenceParallel
from tests.worlds.fresh_process import fresh_processes
from tests.worlds.networks import blocks_of, random_inputs, random_soul, relative_error

RANKS = 4


def loss_and_gradients(soul: SoulTransformer3DModel, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    inputs = inputs | {"hidden_states": inputs["hidden_states"].clone().requires_grad_()}
    soul.zero_grad()
    sample = soul(**inputs).sample
    weight = torch.linspace(-1, 1, sample.numel()).view_as(sample)
    (sample * weight).sum().backward()
    gradients = {name: parameter.grad for name, parameter in soul.named_parameters()}
    return {"sample": sample.detach(), "input": inputs["hidden_states"].grad, **gradients}


def average(tensors: dict[str, Tensor], group: dist.ProcessGroup) -> dict[str, Tensor]:
    """What data parallelism does with gradients."""
    for tensor in tensors.values():
        dist.all_reduce(tensor, group=group)
    return {name: tensor / group.size() for name, tensor in tensors.items()}


def message_of(call: Any, *args: Any, **kwargs: Any) -> str:
    try:
        call(*args, **kwargs)
    except ValueError as error:
        return str(error)
    return "no error"


def run_rank(rank: int, folder: str) -> None:
    """Compute in groups of 2 and of 4 ranks; rank 0 writes what it got."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS)
    pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    everyone = dist.group.WORLD
    assert everyone is not None
    soul, inputs = random_soul(), torch.load(f"{folder}/inputs.pt")
    soul.load_state_dict(torch.load(f"{folder}/weights.pt"))
    results: dict[str, Any] = {}
    for group in (pairs[rank // 2], everyone):
        for checkpointing in (False, True):
            parallel = SequenceParallel(soul, group)
            if checkpointing:
                soul.enable_gradient_checkpointing()
            results[f"{group.size()} ranks, checkpointing {checkpointing}"] = average(
                loss_and_gradients(soul, inputs), group
            )
            soul.disable_gradient_checkpointing()
            parallel.remove()
    results["after removal"] = loss_and_gradients(soul, inputs)
    with SequenceParallel(soul, everyone), torch.no_grad():
        results["narrow"] = message_of(soul, **random_inputs(height=2, width=4))
        if rank == 0:
            # The others need no compiler, which takes seconds to import, to meet it in the same collectives.
            blocks_of(soul)[0].compile(fullgraph=True, backend="eager")
        results["compiled"] = soul(**inputs).sample
    results["three heads"] = message_of(SequenceParallel, random_soul(num_attention_heads=3), everyone)
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    torch.manual_seed(0)
    soul, inputs = random_soul(), random_inputs(height=8, width=6)
    torch.save(soul.state_dict(), folder / "weights.pt")
    torch.save(inputs, folder / "inputs.pt")
    processes = fresh_processes()
    ranks = [processes.Process(target=run_rank, args=(rank, str(folder)), daemon=True) for rank in range(RANKS)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=300)
    assert [process.exitcode for process in ranks] == [0] * RANKS
    gathered: dict[str, Any] = torch.load(folder / "results.pt")
    return gathered | {"one rank": loss_and_gradients(soul, inputs)}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("degree", [2, 4])
def test_outputs_and_gradients_equal_one_rank(results: dict[str, Any], degree: int, checkpointing: bool) -> None:
    expected = results["one rank"]
    actual = results[f"{degree} ranks, checkpointing {checkpointing}"]
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert relative_error(actual[name], tensor) < 1e-5, name


def test_removal_restores_one_rank(results: dict[str, Any]) -> None:
    for name, tensor in results["one rank"].items():
        torch.testing.assert_close(results["after removal"][name], tensor)


def test_a_block_compiles_without_graph_breaks(results: dict[str, Any]) -> None:
    torch.testing.assert_close(results["compiled"], results["one rank"]["sample"], rtol=1e-4, atol=1e-4)


def test_degrees_that_do_not_divide_are_errors(results: dict[str, Any]) -> None:
    assert results["three heads"] == "4 ranks cannot share 3 attention heads: it must divide them"
    assert results["narrow"] == "4 ranks cannot share 2 tokens of a latent frame: it must divide them"
