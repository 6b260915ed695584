"""All that a checkpoint keeps of a network under training: taken, and taken up again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from torch import Tensor, nn

from infra.config import ConfigError
from model.weights.files import check_fit
from training.distributed.ema import Ema
from training.distributed.partitions import MOMENTS, WEIGHT, Partitions
from training.distributed.pieces import Piece
from training.distributed.ranks import Ranks
from training.distributed.snapshot import AVERAGE, BUFFER, Description, Snapshot, open_pieces


class NetworkStates:
    """A network's trained weights, optimizer states, average and buffers, over all ranks.

    Args:
        name: folder of the states in a checkpoint.
        module: the network.
        partitions: what this rank's optimizer has of it.
        ema: its average; None if there is none.
        ranks: who trains.
    """

    def __init__(self, name: str, module: nn.Module, partitions: Partitions, ema: Ema | None, ranks: Ranks) -> None:
        self.name = name
        self.module = module
        self.partitions = partitions
        self.ema = ema
        self.ranks = ranks

    def snapshot(self) -> Snapshot:
        """This rank's part, as views: training changes them."""
        buffers = self._buffers() if self.ranks.is_main else {}
        pieces = self.partitions.pieces()
        if self.ema is not None:
            pieces[AVERAGE] = self.ema.pieces()
        if buffers:
            pieces[BUFFER] = [Piece(name=name, start=0, data=each.detach().flatten()) for name, each in buffers.items()]
        return Snapshot(
            name=self.name,
            rank=self.ranks.rank,
            description=Description(
                parameters=self.partitions.shapes,
                buffers={name: tuple(each.shape) for name, each in buffers.items()},
                num_updates=self.partitions.num_updates,
            ),
            pieces=pieces,
        )

    def load(self, folder: Path) -> None:
        """Take up what any number of ranks wrote in a checkpoint.

        Raises:
            ConfigError: it was written by another kind of network; raised on all ranks.
        """
        problem: str | None = None
        try:
            self._load(folder / self.name)
        except FileNotFoundError:
            problem = f"it has no states of {self.name!r}"
        except (OSError, ValueError, KeyError) as error:
            problem = str(error)
        if problem := next((each for each in self.ranks.gather(problem) if each), None):
            raise ConfigError(f"{folder} does not fit this training: {problem}")
        self.partitions.spread()

    def _load(self, folder: Path) -> None:
        description, own_buffers = Description.read(folder), self._buffers()
        check_fit(
            {**self.partitions.shapes, **{name: tuple(each.shape) for name, each in own_buffers.items()}},
            {**description.parameters, **description.buffers},
        )
        with ExitStack() as stack:
            kinds = (WEIGHT, *(MOMENTS if description.num_updates else ()))
            files = {kind: stack.enter_context(open_pieces(folder, kind)) for kind in kinds}
            self.partitions.load(
                lambda kind, name, start, length: files[kind].read(name, start, length), description.num_updates
            )
        if self.ema is not None:
            with open_pieces(folder, AVERAGE) as average:
                self.ema.load(average.read)
        with open_pieces(folder, BUFFER) as buffers:
            for name, each in own_buffers.items():
                each.copy_(buffers.read(name, 0, each.numel()).view_as(each))

    def _buffers(self) -> dict[str, Tensor]:
        """What the network keeps besides its parameters."""
        kept = self.module.state_dict().keys()
        return {name: each for name, each in self.module.named_buffers() if name in kept}
